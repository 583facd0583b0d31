"""The plan of an experiment, its arms and rules, which is fixed when the experiment is created."""

from __future__ import annotations

import math
import re

from pydantic import BaseModel, ConfigDict, Field, model_validator

from doctune.errors import UsageError
from doctune.experiments.assignment import BUCKETS
from doctune.experiments.options import Metric, Prices, Rules

CONTROL = "control"
TREATMENT = "treatment"

_LEAST_PERCENT = 100 / BUCKETS  # of a ramp: one bucket
_LONGEST_LAYER = 64  # of the database's column
_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ArmPlan(_Part):
    """One arm: a model version or an upstream's model, possibly with other parameters."""

    name: str
    model_version: str = Field("", description="projects/.../models/M@3; the model's own if empty.")
    upstream: str = Field(
        "", description="Where it is served already, such as an adapter: ADDRESS#MODEL."
    )
    parameters: dict[str, float | int] = Field(default_factory=dict)
    system_prompt: str | None = None

    @model_validator(mode="after")
    def _parameters_are_known(self) -> ArmPlan:
        if unknown := set(self.parameters) - {"temperature", "top_p", "max_tokens"}:
            raise ValueError(f"{min(unknown)} cannot be set: temperature, top_p, max_tokens can")
        return self


class Plan(_Part):
    """An experiment as it was created."""

    name: str
    model: str = Field(description="The name by which clients ask.")
    endpoint: str = Field("", description="Whose champion a win replaces; none where empty.")
    arms: tuple[ArmPlan, ...] = Field(min_length=2, max_length=10)  # control first
    metric: str
    guardrails: tuple[str, ...] = ()
    metrics: dict[str, Metric]
    ramp: tuple[float, ...] = Field(min_length=1, description="Percent of users, a treatment.")
    rules: Rules = Rules()
    prices: Prices = Prices()
    salt: str
    layer: str = "default"
    slot: tuple[int, int] = (0, BUCKETS)
    holdout: int = 0
    forced: dict[str, str] = Field(default_factory=dict)
    shadow: bool = False
    drain_seconds: float = 10.0
    smoke_prompt: str = "What is this?"
    machine: dict[str, str | int] = Field(default_factory=dict)

    @property
    def control(self) -> str:
        """The control's name."""
        return self.arms[0].name

    @property
    def treatments(self) -> tuple[str, ...]:
        """The treatments' names."""
        return tuple(arm.name for arm in self.arms[1:])

    def arm(self, name: str) -> ArmPlan:
        """Returns an arm by its name."""
        return next(arm for arm in self.arms if arm.name == name)

    def shares_at(self, stage: int, without: frozenset[str] = frozenset()) -> dict[str, int]:
        """Returns the buckets of each arm at a stage of the ramp; dropped arms have none."""
        most = BUCKETS // len(self.arms)
        buckets = min(round(self.ramp[stage] * BUCKETS / 100), most)
        return {arm.name: buckets for arm in self.arms if arm.name not in without}


def check_plan(plan: Plan) -> None:
    """Refuses a plan that cannot be run.

    Raises:
        UsageError: The message says what is wrong.
    """
    if not _NAME.fullmatch(plan.name):
        raise UsageError(
            f"{plan.name!r} cannot be an experiment's name: use a letter a-z, then at most 39 of "
            "a-z, 0-9 and -."
        )
    if len(plan.layer) > _LONGEST_LAYER:
        raise UsageError(
            f"a layer's name has {_LONGEST_LAYER} characters at most; {plan.layer!r} has "
            f"{len(plan.layer)}: give a shorter one with --layer."
        )
    if unknown := set(plan.forced.values()) - {arm.name for arm in plan.arms}:
        raise UsageError(f"there is no arm {min(unknown)} to force a tester into.")
    for metric in (plan.metric, *plan.guardrails):
        if metric not in plan.metrics:
            raise UsageError(
                f"there is no metric {metric}: experiments.yaml has {', '.join(plan.metrics)}."
            )
    for guardrail in plan.guardrails:
        declared = plan.metrics[guardrail]
        if declared.margin is None and declared.relative_margin is None:
            raise UsageError(
                f"the guardrail {guardrail} has no non-inferiority margin: give the metric "
                "margin or relative_margin in experiments.yaml."
            )
    for arm in plan.arms:
        for parameter, value in arm.parameters.items():
            if not math.isfinite(value) or value < 0:
                raise UsageError(
                    f"{parameter} cannot be {value:g}: no model takes it, and the arm would fail."
                )
    most = 100 / len(plan.arms)
    rising = list(plan.ramp) == sorted(set(plan.ramp))
    if not rising or not all(_LEAST_PERCENT <= step <= most for step in plan.ramp):
        raise UsageError(
            f"the ramp must rise from {_LEAST_PERCENT:g} at least to {most:g} at most, which is an "
            f"equal share of {len(plan.arms)} arms; it is "
            f"{', '.join(f'{step:g}' for step in plan.ramp)}."
        )
    if len({arm.name for arm in plan.arms}) < len(plan.arms):
        raise UsageError("two arms have the same name: rename one.")
