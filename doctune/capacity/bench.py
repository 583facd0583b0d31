"""Benchmarks a target: one question at a time, then rising rates until it falls behind."""

from __future__ import annotations

import asyncio
import itertools
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from doctune.capacity.client import Message
from doctune.capacity.load import run_alone, run_stage
from doctune.capacity.measure import Measurement, Stage, summarize
from doctune.capacity.prompts import read_prompts
from doctune.capacity.slo import Slo, parse_slo
from doctune.capacity.targets import EndpointTarget, Target
from doctune.errors import DeploymentError

_ALONE = 5  # requests
_WARM_UP = 2
_FIRST_SHARE = 0.5  # of the rate that one question at a time reaches
_REFINEMENTS = 2
_MOST_STAGES = 12


@dataclass(frozen=True, kw_only=True)
class BenchOptions:
    """Options of a benchmark. Without rates, the rate doubles until the target falls behind."""

    seconds: float = 20.0  # of each rate
    rates: tuple[float, ...] = ()
    max_tokens: int = 64
    timeout_seconds: float = 60.0
    seed: int = 0


def measure(
    target: Target,
    prompts: Sequence[Sequence[Message]],
    slo: Slo,
    options: BenchOptions,
    on_stage: Callable[[Stage], None] | None = None,
) -> tuple[Stage, list[Stage]]:
    """Returns the results with one question at a time, and at each rate, in rising order.

    Args:
        on_stage: Called with each rate's result.

    Raises:
        DeploymentError: The target does not answer any question.
    """
    run = _Run(target, prompts, slo, options, on_stage or (lambda _: None))
    alone = run.alone()
    for rate in options.rates:
        run.stage(rate)
    if not options.rates:
        run.search(_FIRST_SHARE / alone.e2e.p50)
    return alone, sorted(run.stages, key=lambda stage: stage.rate)


@dataclass(frozen=True)
class Subject:
    """A description of the target, for the record."""

    name: str
    machine: str = ""
    cpus: int = 1
    parameters: int = 0  # of the model; 0 where it is not known
    engine: str = "native"
    precision: str = "float32"


def measured(
    subject: Subject,
    target: Target,
    prompts: Sequence[Sequence[Message]],
    source: str,
    slo: Slo,
    options: BenchOptions,
    on_stage: Callable[[Stage], None] | None = None,
) -> Measurement:
    """Measures a target; see `measure`.

    Args:
        source: The source of the prompts, for the record.
    """
    alone, stages = measure(target, prompts, slo, options, on_stage)
    return Measurement(
        target=target.name,
        date=datetime.now(UTC).date().isoformat(),
        machine=subject.machine or platform.node() or "this machine",
        cpus=subject.cpus,
        engine=subject.engine,
        precision=subject.precision,
        model=subject.name,
        parameters=subject.parameters,
        prompts=source,
        max_tokens=options.max_tokens,
        slo=str(slo),
        alone=alone,
        stages=tuple(stages),
    )


def measure_endpoint(
    subject: Subject,
    questions: Path,
    slo: str,
    options: BenchOptions,
    *,
    project: str,
    location: str,
) -> Measurement:
    """Measures an endpoint of Vertex AI with the questions of a file.

    Raises:
        UsageError: The file has no questions, or the objectives are malformed.
        DeploymentError: There is no such endpoint, or it does not answer any question.
    """
    from doctune.vertex.serving_state import EndpointReader

    prompts, objectives = read_prompts(questions), parse_slo(slo)
    target = EndpointTarget(subject.name, EndpointReader(project, location))
    return measured(subject, target, prompts, questions.name, objectives, options)


class _Run:
    def __init__(
        self,
        target: Target,
        prompts: Sequence[Sequence[Message]],
        slo: Slo,
        options: BenchOptions,
        on_stage: Callable[[Stage], None],
    ) -> None:
        self.stages: list[Stage] = []
        self._target, self._slo, self._options = target, slo, options
        self._prompts, self._on_stage = itertools.cycle(prompts), on_stage

    def alone(self) -> Stage:
        """Asks one question after the other."""

        def ask(requests: int) -> Stage:
            started = time.perf_counter()
            samples = asyncio.run(
                run_alone(
                    self._target,
                    self._prompts,
                    requests=requests,
                    max_tokens=self._options.max_tokens,
                    timeout=self._options.timeout_seconds,
                )
            )
            seconds = time.perf_counter() - started
            return summarize(samples, requests / seconds, seconds, self._slo)

        ask(_WARM_UP)
        stage = ask(_ALONE)
        if sum(stage.errors.values()) == stage.requests:
            raise DeploymentError(
                f"{self._target.name} answers no question: {', '.join(stage.errors)}."
            )
        return stage

    def stage(self, rate: float) -> Stage:
        """Asks at a rate."""
        options = self._options
        samples = asyncio.run(
            run_stage(
                self._target,
                self._prompts,
                rate=rate,
                seconds=options.seconds,
                max_tokens=options.max_tokens,
                timeout=options.timeout_seconds,
                seed=options.seed + len(self.stages),
            )
        )
        stage = summarize(samples, rate, options.seconds, self._slo)
        self.stages.append(stage)
        self._on_stage(stage)
        return stage

    def search(self, first: float) -> None:
        """Doubles the rate until the target falls behind, then bisects between the last two."""
        rate, kept = first, 0.0
        while len(self.stages) < _MOST_STAGES:
            stage = self.stage(rate)
            if stage.saturated or not stage.meets_slo:
                break
            rate, kept = 2 * rate, rate
        if not kept:
            return
        low, high = kept, rate
        for _ in range(_REFINEMENTS):
            middle = (low + high) / 2
            stage = self.stage(middle)
            if stage.saturated or not stage.meets_slo:
                high = middle
            else:
                low = middle
