"""The cost of a run: the hours of each step times the price of its machine."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from doctune.compute.plan import STEP_MACHINES, endpoint_machine, steps_of
from doctune.compute.prices import PriceTable
from doctune.configuration.settings import VertexSettings
from doctune.errors import UsageError

HOURS_A_MONTH = 730.0


@dataclass(frozen=True)
class StepCost:
    """The cost of a step, or of one replica of the endpoint."""

    name: str
    machine: str
    hours: float
    price: float  # an hour, the fee included

    @property
    def cost(self) -> float:
        return self.hours * self.price


@dataclass(frozen=True)
class RunCost:
    """The cost of a run, and of the endpoint for a month after it."""

    steps: list[StepCost]
    pipeline_run: float
    endpoint: StepCost  # the fewest replicas, for a month

    @property
    def total(self) -> float:
        """The cost of the run; the endpoint's is extra for as long as it is deployed."""
        return sum(step.cost for step in self.steps) + self.pipeline_run


def estimate(settings: VertexSettings, prices: PriceTable, hours: Mapping[str, float]) -> RunCost:
    """Returns the cost of a run whose steps take these machine hours.

    Args:
        hours: Hours of each step; 0 for steps that are not named.

    Raises:
        UsageError: There is no such step.
        ConfigurationError: The price table lacks a machine.
    """
    unknown = sorted(set(hours) - set(STEP_MACHINES))
    if unknown:
        raise UsageError(f"there is no step {unknown[0]}; there are {', '.join(STEP_MACHINES)}.")
    steps = [
        StepCost(
            step.name,
            prices.machine_for(step.machine),
            hours.get(step.name, 0.0),
            prices.hour(step.machine),
        )
        for step in steps_of(settings)
    ]
    replica = endpoint_machine(settings.endpoint)
    endpoint = StepCost(
        f"endpoint {settings.endpoint.name}",
        prices.machine_for(replica),
        HOURS_A_MONTH * settings.endpoint.min_replica_count,
        prices.hour(replica),
    )
    return RunCost(steps, prices.pipeline_run, endpoint)


def hours_of_last_run(path: Path) -> dict[str, float]:
    """Returns the hours that each step of the last run on this machine took.

    A cached step takes almost none.

    Raises:
        UsageError: There has been no run, or its file is damaged.
    """
    if not path.is_file():
        raise UsageError(
            f"{path} is missing: `doctune run` writes it; or give the hours of the steps with "
            "--hours."
        )
    try:
        seconds = json.loads(path.read_text(encoding="utf-8"))["step_seconds"]
        hours = {step: float(value) / 3600 for step, value in seconds.items()}
    except (json.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{path} is not the summary of a run: it has no step_seconds.") from error
    return {step: value for step, value in hours.items() if step in STEP_MACHINES}
