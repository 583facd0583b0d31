"""Decides the next step of an experiment from an evaluation; pure functions.

In this order: a sample ratio mismatch ends it as broken; a treatment that breaches a guardrail or
is significantly worse loses its traffic at once; one that is significantly better, with all
guardrails held and the minimum of users and days reached, wins; the limit of days or users is a
tie; otherwise the ramp goes up or waits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from doctune.experiments.analysis import Evaluation, Finding
from doctune.experiments.plan import Plan

Action = Literal["hold", "ramp", "drop", "end"]
Verdict = Literal["win", "lose", "tie", "broken", "stopped"]

_DAY_SECONDS = 86_400.0


@dataclass(frozen=True)
class Standing:
    """The progress of an experiment."""

    stage: int
    dropped: tuple[str, ...]
    started_at: datetime
    stage_at: datetime


@dataclass(frozen=True)
class Decision:
    """The next step, with its reason in one sentence."""

    action: Action
    sentence: str
    stage: int
    dropped: tuple[str, ...]
    shares: Mapping[str, int]  # buckets
    verdict: Verdict | None = None
    winner: str | None = None


def decide(plan: Plan, standing: Standing, known: Evaluation, now: datetime) -> Decision:
    """Returns the next step."""
    if known.mismatch_p_value < plan.rules.mismatch_alpha:
        counts = ", ".join(f"{arm} {users}" for arm, users in known.users.items())
        return _end(
            plan,
            standing,
            "broken",
            f"Sample ratio mismatch ({counts}; p = {known.mismatch_p_value:.2g}): users are not "
            "split as assigned, so the results cannot be trusted.",
        )
    bad = _bad_arms(plan, standing, known)
    if bad:
        return _drop(plan, standing, bad)
    left = _left(plan, standing.dropped)
    if (winner := _winner(plan, standing, known, left, now)) is not None:
        found = known.primary(winner)
        sentence = f"{winner} wins: {describe(found)}; all guardrails are held."
        return _end(plan, standing, "win", sentence, winner)
    if (why := _spent(plan, standing, known, now)) is not None:
        return _end(plan, standing, "tie", f"{why} without a significant difference: a tie.")
    return _next_stage(plan, standing, known, left, now)


def describe(found: Finding) -> str:
    """Returns a finding in words."""
    if found.effect is None or found.lower is None or found.upper is None:
        return f"too little data on {found.metric}"
    return (
        f"{found.metric} {found.treatment:.4g} against {found.control:.4g} "
        f"({found.effect:+.4g}, {found.lower:+.4g} to {found.upper:+.4g})"
    )


def _bad_arms(plan: Plan, standing: Standing, known: Evaluation) -> dict[str, str]:
    bad = {}
    for arm in _left(plan, standing.dropped):
        if not _enough_users(plan, known, arm):
            continue
        for found in known.of(arm, "guardrail"):
            if found.guard == "breached":
                bad[arm] = f"the guardrail is breached: {describe(found)}"
        if arm not in bad and not plan.shadow and known.primary(arm).is_worse:
            bad[arm] = f"it is significantly worse: {describe(known.primary(arm))}"
    return bad


def _drop(plan: Plan, standing: Standing, bad: Mapping[str, str]) -> Decision:
    dropped = (*standing.dropped, *bad)
    sentence = " ".join(f"{arm} loses its traffic: {why}." for arm, why in bad.items())
    if not _left(plan, dropped):
        return _end(plan, Standing(standing.stage, dropped, standing.started_at,
                                   standing.stage_at), "lose", sentence)  # fmt: skip
    shares = plan.shares_at(standing.stage, frozenset(dropped))
    return Decision("drop", sentence, standing.stage, dropped, shares)


def _winner(
    plan: Plan, standing: Standing, known: Evaluation, left: tuple[str, ...], now: datetime
) -> str | None:
    if plan.shadow or _days(standing.started_at, now) < plan.rules.min_days:
        return None
    better = []
    for arm in left:
        found = known.primary(arm)
        held = all(guard.guard == "held" for guard in known.of(arm, "guardrail"))
        if found.is_better and held and _enough_users(plan, known, arm):
            better.append((abs(found.effect or 0.0), arm))
    return max(better)[1] if better else None


def _spent(plan: Plan, standing: Standing, known: Evaluation, now: datetime) -> str | None:
    rules = plan.rules
    if _days(standing.started_at, now) >= rules.max_days:
        return f"The limit of {rules.max_days:g} days is reached"
    least = min(known.users.get(arm, 0) for arm in (plan.control, *_left(plan, standing.dropped)))
    if rules.max_users is not None and least >= rules.max_users:
        return f"The limit of {rules.max_users} users per arm is reached"
    return None


def _next_stage(
    plan: Plan, standing: Standing, known: Evaluation, left: tuple[str, ...], now: datetime
) -> Decision:
    stage = standing.stage
    ready = _days(standing.stage_at, now) >= plan.rules.stage_days
    out = _outages(known, left)
    # No further users are sent to an arm that may still be down.
    ready = ready and all(now.timestamp() > found.outage[1] for found in out if found.outage)
    enough = all(_enough_users(plan, known, arm) for arm in left)
    if stage + 1 < len(plan.ramp) and ready and enough:
        return Decision(
            "ramp",
            f"No guardrail is breached: from {plan.ramp[stage]:g} % to "
            f"{plan.ramp[stage + 1]:g} % of the users.",
            stage + 1,
            standing.dropped,
            plan.shares_at(stage + 1, frozenset(standing.dropped)),
        )
    found = known.primary(left[0])
    return Decision(
        "hold",
        " ".join(
            [f"Nothing is decided yet: {describe(found)}.", *(_describe_outage(one) for one in out)]
        ),
        stage,
        standing.dropped,
        plan.shares_at(stage, frozenset(standing.dropped)),
    )


def _outages(known: Evaluation, arms: tuple[str, ...]) -> list[Finding]:
    """Returns the guardrails that are breached only because of one period."""
    return [found for arm in arms for found in known.of(arm, "guardrail") if found.outage]


def _describe_outage(found: Finding) -> str:
    if found.outage is None:
        return ""
    start, end = (f"{datetime.fromtimestamp(moment, UTC):%H:%M:%S}" for moment in found.outage)
    return (
        f"{found.arm} is beyond the margin of {found.metric} only from {start} to {end} UTC: "
        "an outage, which decides nothing by itself."
    )


def _end(
    plan: Plan, standing: Standing, verdict: Verdict, sentence: str, winner: str | None = None
) -> Decision:
    # The winner's users stay in its arm until it is promoted.
    shares = plan.shares_at(standing.stage, frozenset(standing.dropped)) if winner else {}
    return Decision("end", sentence, standing.stage, standing.dropped, shares, verdict, winner)


def _left(plan: Plan, dropped: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(arm for arm in plan.treatments if arm not in dropped)


def _enough_users(plan: Plan, known: Evaluation, arm: str) -> bool:
    return min(known.users.get(arm, 0), known.users.get(plan.control, 0)) >= plan.rules.min_users


def _days(start: datetime, now: datetime) -> float:
    return (now - start).total_seconds() / _DAY_SECONDS
