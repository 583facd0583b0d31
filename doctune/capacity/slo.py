"""Objectives: `ttft_p95=1s,e2e_p95=8s` and `20rps` as text, and whether samples meet them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from doctune.capacity.client import Sample
from doctune.errors import UsageError

_OBJECTIVE = re.compile(
    r"(?P<what>ttft|e2e|per_token)_p(?P<percent>\d{2}(?:\.\d+)?)=(?P<number>\d+(?:\.\d+)?)"
    r"(?P<unit>ms|s|)"
)
_RATE = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>rps|rpm|/s|/min|)")


@dataclass(frozen=True)
class Objective:
    """A time limit that a share of the requests must meet."""

    what: str  # ttft, e2e or per_token
    percent: float
    seconds: float

    def __str__(self) -> str:
        return f"{self.what}_p{self.percent:g}={self.seconds:g}s"

    def met_by(self, sample: Sample) -> bool:
        """Returns whether a request was answered, and within the time."""
        value = getattr(sample, self.what)
        return sample.ok and (value is None or value <= self.seconds)


@dataclass(frozen=True)
class Slo:
    """All objectives together."""

    objectives: tuple[Objective, ...]

    def __str__(self) -> str:
        return ",".join(map(str, self.objectives))

    def good(self, sample: Sample) -> bool:
        """Returns whether a request meets all objectives' time limits."""
        return all(objective.met_by(sample) for objective in self.objectives)

    def met_by(self, samples: Sequence[Sample]) -> bool:
        """Returns whether each objective is met by its share of the requests."""
        return bool(samples) and all(
            sum(map(objective.met_by, samples)) >= objective.percent / 100 * len(samples)
            for objective in self.objectives
        )


DEFAULT_SLO = "ttft_p95=1s,e2e_p95=8s"


def parse_slo(text: str) -> Slo:
    """Parses objectives.

    Raises:
        UsageError: The text is malformed.
    """
    objectives = []
    for part in text.split(","):
        match = _OBJECTIVE.fullmatch(part.strip())
        if not match or not 0 < float(match["percent"]) < 100 or not float(match["number"]):
            raise UsageError(
                f"--slo {text}: {part.strip() or 'nothing'} is no objective; write "
                "ttft_p95=1s, e2e_p99=8s or per_token_p50=80ms, with commas between."
            )
        scale = 1000 if match["unit"] == "ms" else 1
        objectives.append(
            Objective(match["what"], float(match["percent"]), float(match["number"]) / scale)
        )
    return Slo(tuple(objectives))


def parse_rate(text: str) -> float:
    """Parses a rate in requests per second: 20rps, 20, 90rpm.

    Raises:
        UsageError: It is not a rate above 0.
    """
    match = _RATE.fullmatch(text.strip())
    rate = float(match["number"]) if match else 0.0
    if not match or not 0 < rate < math.inf:
        raise UsageError(f"{text} is no rate: write 20rps or 90rpm, above 0.")
    return rate / 60 if match["unit"] in ("rpm", "/min") else rate
