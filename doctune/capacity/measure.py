"""Summarises a load: percentiles, rates, goodput and the knee."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from doctune.capacity.client import Sample
from doctune.capacity.slo import Slo

# A stage is saturated if less than this share of its load is answered within its duration.
_KEEPS_UP = 0.9
_MOST_ERRORS = 0.01


@dataclass(frozen=True)
class Percentiles:
    """Percentiles in seconds; NaN if nothing was answered."""

    p50: float
    p90: float
    p99: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Percentiles:
        """Returns the percentiles of values, by the nearest rank."""
        ordered = sorted(values)

        def at(percent: float) -> float:
            if not ordered:
                return math.nan
            return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]

        return cls(at(50), at(90), at(99))


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The results at one arrival rate."""

    rate: float  # requests a second, of the process
    requests: int
    offered_rate: float  # requests a second that came, by chance
    answered_rate: float  # answers a second
    tokens_rate: float  # completion tokens a second
    goodput: float  # requests a second that met every time of the SLO
    meets_slo: bool
    ttft: Percentiles
    per_token: Percentiles
    e2e: Percentiles
    prompt_tokens: float  # mean of a request
    completion_tokens: float
    errors: dict[str, int] = field(default_factory=dict)

    @property
    def error_rate(self) -> float:
        """Share of requests that were not answered."""
        return sum(self.errors.values()) / self.requests

    @property
    def saturated(self) -> bool:
        """Whether the server fell behind or refused requests."""
        return self.answered_rate < _KEEPS_UP * self.offered_rate or self.error_rate > _MOST_ERRORS


def summarize(samples: Sequence[Sample], rate: float, seconds: float, slo: Slo) -> Stage:
    """Returns the results of a stage.

    Args:
        seconds: Duration of the arrivals.
    """
    answered = [sample for sample in samples if sample.ok]
    span = max(seconds, max((s.ended for s in answered), default=seconds))
    # Even without queueing, the last answers end after the last arrival; the fastest tenth of the
    # answers tells by how much.
    quickest = sorted(s.e2e for s in answered)[len(answered) // 10] if answered else 0.0
    return Stage(
        rate=rate,
        requests=len(samples),
        offered_rate=len(samples) / seconds,
        answered_rate=len(answered) / max(seconds, span - quickest),
        tokens_rate=sum(s.completion_tokens for s in answered) / span,
        goodput=sum(map(slo.good, samples)) / span,
        meets_slo=slo.met_by(samples),
        ttft=Percentiles.of([s.ttft for s in answered]),
        per_token=Percentiles.of([s.per_token for s in answered if s.per_token is not None]),
        e2e=Percentiles.of([s.e2e for s in answered]),
        prompt_tokens=_mean([s.prompt_tokens for s in answered]),
        completion_tokens=_mean([s.completion_tokens for s in answered]),
        errors=dict(Counter(s.error for s in samples if s.error)),
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """A benchmark of one target on one machine."""

    target: str
    date: str
    machine: str
    cpus: int  # of the machine that answered, as far as it is known
    engine: str
    precision: str
    model: str
    parameters: int  # of the model; 0 where it is not known
    prompts: str  # where they came from
    max_tokens: int
    slo: str
    alone: Stage
    stages: tuple[Stage, ...]

    @property
    def knee(self) -> float:
        """The highest rate below the first saturated one; 0 if there is none."""
        kept = 0.0
        for stage in sorted(self.stages, key=lambda one: one.rate):
            if stage.saturated:
                break
            kept = stage.rate
        return kept

    @property
    def capacity(self) -> float:
        """The highest rate below the first that missed the SLO; 0 if there is none."""
        held = 0.0
        for stage in sorted(self.stages, key=lambda one: one.rate):
            if not stage.meets_slo:
                break
            held = stage.rate
        return held

    @property
    def tokens_rate(self) -> float:
        """The maximum of completion tokens per second over all stages."""
        return max((stage.tokens_rate for stage in self.stages), default=0.0)

    def document(self) -> dict[str, Any]:
        """Returns the measurement as JSON."""
        whole = {
            **asdict(self),
            "knee": self.knee,
            "capacity_at_slo": self.capacity,
            "best_tokens_rate": self.tokens_rate,
        }
        return dict(_without_nan(whole))


def measurement_from(document: dict[str, Any]) -> Measurement:
    """Returns the measurement from the JSON that `Measurement.document` made.

    Raises:
        KeyError, TypeError: The JSON is not that of a measurement.
    """
    values = {name: document[name] for name in Measurement.__dataclass_fields__}
    values["alone"] = _stage_from(values["alone"])
    values["stages"] = tuple(map(_stage_from, values["stages"]))
    return Measurement(**values)


def _without_nan(value: Any) -> Any:
    """Returns JSON with null in place of NaN."""
    if isinstance(value, dict):
        return {name: _without_nan(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _stage_from(values: dict[str, Any]) -> Stage:
    def known(times: dict[str, float | None]) -> Percentiles:
        return Percentiles(**{n: math.nan if v is None else v for n, v in times.items()})

    times = {name: known(values[name]) for name in ("ttft", "per_token", "e2e")}
    return Stage(**{**values, **times})
