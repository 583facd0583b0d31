"""The state of an experiment by its last evaluation: for the command line and for pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from doctune.database.engine import Engine
from doctune.database.experiments import (
    ENDED,
    ENDING,
    PREPARING,
    ExperimentState,
    decisions_of,
    get_experiment,
)
from doctune.experiments.assignment import BUCKETS
from doctune.experiments.plan import Plan


@dataclass(frozen=True)
class Row:
    """One metric of one treatment."""

    metric: str
    role: str
    arm: str
    control: float | None
    treatment: float | None
    effect: float | None
    lower: float | None
    upper: float | None
    fixed_lower: float | None
    fixed_upper: float | None
    adjusted_p_value: float | None
    guard: str

    @property
    def cells(self) -> tuple[str, ...]:
        """The row for a table: metric, arm, role, its values, effect, interval, guardrail."""
        interval = "" if self.lower is None else f"{self.lower:+.4g} to {self.upper:+.4g}"
        numbers = [_number(self.control), _number(self.treatment), _number(self.effect)]
        return (self.metric, self.arm, self.role, *numbers, interval, self.guard)


@dataclass(frozen=True)
class StandingNow:
    """The current state of an experiment."""

    name: str
    state: str
    verdict: str | None
    winner: str | None
    headline: str
    percent: Mapping[str, float]  # of all users, by arm
    users: Mapping[str, int]
    findings: tuple[Row, ...]
    health: str
    next_step: str


def standing_of(engine: Engine, name: str) -> StandingNow:
    """Returns the current state of an experiment.

    Raises:
        UsageError: There is no experiment of that name.
    """
    state = get_experiment(engine, name)
    plan = Plan.model_validate(state.plan)
    looks = [d for d in decisions_of(engine, name) if d.numbers]
    numbers: Mapping[str, Any] = looks[-1].numbers if looks else {}
    percent = {arm: 100 * share / BUCKETS for arm, share in state.shares.items()}
    shares = ", ".join(f"{arm} {part:g} %" for arm, part in percent.items()) or "none has traffic"
    said = decisions_of(engine, name, last=1)
    controller = _controller(state, datetime.now(UTC))
    headline = (
        f"{name}: {state.verdict or state.state}; {shares}. {said[0].sentence if said else ''}"
    )
    return StandingNow(
        name=name,
        state=state.state,
        verdict=state.verdict,
        winner=state.winner,
        headline=headline.strip(),
        percent=percent,
        users=numbers.get("users", {}),
        findings=tuple(row_of(found) for found in numbers.get("findings", ())),
        health=_health(numbers, controller),
        next_step=_next(plan, state.state, state.stage, controller),
    )


def row_of(found: Mapping[str, Any]) -> Row:
    """Returns a stored finding as a row."""
    return Row(**{name: found[name] for name in Row.__dataclass_fields__})


def _controller(state: ExperimentState, now: datetime) -> str | None:
    """Returns the name of the active controller, or None."""
    alive = state.lease_until is not None and state.lease_until > now
    return state.lease_owner if alive else None


def _health(numbers: Mapping[str, Any], controller: str | None) -> str:
    users = ", ".join(f"{arm} {count}" for arm, count in numbers.get("users", {}).items())
    if not users:
        return f"Users: none yet. Controller: {controller or 'none'}."
    p_value = numbers["mismatch_p_value"]
    return f"Users: {users} (sample ratio p = {p_value:.3g}). Controller: {controller or 'none'}."


def _next(plan: Plan, state: str, stage: int, controller: str | None) -> str:
    if state == ENDED:
        return "Nothing: it has ended."
    if controller is None:
        return f"Nothing until a controller runs: doctune experiment watch {plan.name}."
    if state == PREPARING:
        return "Next: the arms are deployed."
    if state == ENDING:
        return "Next: what was deployed for it is removed."
    rules = plan.rules
    if stage + 1 < len(plan.ramp):
        return (
            f"Next: {plan.ramp[stage + 1]:g} % after {_days(rules.stage_days)} and "
            f"{rules.min_users} users an arm, if no guardrail is breached."
        )
    return f"Next: a verdict, or a tie after {_days(rules.max_days)}."


def _days(days: float) -> str:
    return "a day" if days == 1 else f"{days:g} days"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
