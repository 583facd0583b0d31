"""Decides whether a retraining starts, starts it once, and sees it through.

Every call does one thing and may be killed anywhere: the next one goes on from what the database
holds. A retraining is written down before anything of it is done; its run has the retraining's own
name, so that a run that was submitted and not noted is found again rather than started twice.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any, Protocol

from doctune.configuration.retraining import RolloutOptions, TriggerOptions
from doctune.database.engine import Engine
from doctune.database.leases import HeldError, leased
from doctune.database.retrainings import (
    BASELINE,
    Opinion,
    add_retraining,
    change_retraining,
    last_erasure,
    opinions_since,
    retrainings,
    reviewed_since,
)
from doctune.database.tables import Retraining
from doctune.feedback.reasons import Facts, Reason, reasons
from doctune.feedback.request import is_bad, is_good
from doctune.feedback.start import StartFrom

LEASE = "retrain"
_LEASE_SECONDS = 900.0
_OPEN = ("started", "watching", "rolling back")
# What these learnt from is no reason any more: learnt again it would give the same, at the same
# price.
_SETTLED = ("succeeded", "rolled back", "failed")


class Runs(Protocol):
    """Where pipelines run: Vertex AI, or what a test puts in its place."""

    def state(self, run: str) -> str:
        """Returns "none", "running", "succeeded" or "failed"."""

    def snapshot(self, retraining_id: str) -> dict[str, str]:
        """Writes what the run learns from; returns its `snapshot` and `snapshot_digest`."""

    def submit(self, run: str, parameters: dict[str, str], start_from: StartFrom) -> None:
        """Starts a run by its name; one of that name that is there is left as it is."""

    def released(self, run: str) -> bool:
        """Returns whether the run's model became the champion."""

    def serve_champion(self) -> None:
        """Lets users of this machine have the champion's index; may be done again."""

    def cancel(self, run: str) -> None:
        """Stops a run; one that is over stays as it is."""

    def roll_back(self, run: str) -> None:
        """Gives the traffic back to the version before, where the run's still has it."""


@dataclass(frozen=True)
class World:
    """What the trigger looks at beside the database.

    Attributes:
        unknown_questions: Of the last questions, so many at most and asked since a moment: how
            many nothing known is like, and of how many; None where there is no index to tell.
    """

    corpus_digest: str
    cost: float  # of one run
    unknown_questions: Callable[[int, datetime | None], tuple[int, int] | None]
    start_from: StartFrom = "base"


@dataclass(frozen=True)
class Decision:
    """What was done, or would be, and why."""

    action: str  # started, resumed, retried, running, watching, finished, failed, rolled back, none
    why: str
    retraining: str = ""
    reasons: tuple[Reason, ...] = ()


def trigger(
    engine: Engine,
    runs: Runs,
    world: World,
    options: TriggerOptions,
    rollout: RolloutOptions,
    *,
    dry_run: bool = False,
) -> Decision:
    """Does the next thing that is to be done; with `dry_run` says it only.

    Raises:
        PipelineError: The run cannot be submitted; the next call tries again.
    """
    if dry_run:
        return _decide(engine, runs, world, options, rollout, dry_run=True)
    try:
        with leased(engine, LEASE, _LEASE_SECONDS):
            return _decide(engine, runs, world, options, rollout, dry_run=False)
    except HeldError:
        return Decision("none", "another trigger is at work")


def _decide(
    engine: Engine,
    runs: Runs,
    world: World,
    options: TriggerOptions,
    rollout: RolloutOptions,
    *,
    dry_run: bool,
) -> Decision:
    rows = retrainings(engine)
    current = next((row for row in rows if row.state in _OPEN), None)
    if current is not None:
        return _go_on(engine, runs, current, options, rollout, dry_run)
    now = datetime.now(UTC)
    last = next((row for row in rows if row.state != BASELINE), None)
    if last is not None and last.state == "failed" and last.attempts < options.most_attempts:
        if last.not_before is not None and now < last.not_before:
            return Decision(
                "none", f"it failed; tried again at {last.not_before:%H:%M} UTC", last.id
            )
        if not dry_run:
            last = _again(engine, last, world)
            _start(engine, runs, last, last.attempts)
            return Decision("retried", f"attempt {last.attempts}", last.id)
        return Decision("retried", f"attempt {last.attempts + 1}", last.id)
    if not rows and not dry_run:
        details = {"corpus_digest": world.corpus_digest}
        add_retraining(engine, BASELINE, {"why": "what is there"}, details, state=BASELINE)
    found = reasons(_facts(engine, rows, world, options, now), options)
    if not found:
        return Decision("none", "no reason holds")
    if (why := _not_now(engine, rows, world, options, now)) is not None:
        return Decision("none", why, reasons=tuple(found))
    text = "; ".join(reason.text for reason in found)
    if dry_run:
        return Decision("started", text, reasons=tuple(found))
    retraining_id = f"{now:%Y%m%d%H%M%S}-{secrets.token_hex(3)}"
    reason = {"kinds": [one.kind for one in found], "why": text}
    details = {"corpus_digest": world.corpus_digest, "start_from": world.start_from}
    row = add_retraining(engine, retraining_id, reason, details, cost=world.cost)
    _start(engine, runs, row, 1)
    return Decision("started", text, retraining_id, tuple(found))


def run_name(retraining_id: str, attempt: int) -> str:
    """Returns the name of a retraining's run."""
    return f"retrain-{retraining_id}-{attempt}"


def _again(engine: Engine, row: Retraining, world: World) -> Retraining:
    """Writes down another attempt; it learns from the same rows, less what was erased since."""
    details, erased = dict(row.details), last_erasure(engine)
    if erased is not None and erased > row.created_at:
        details = {k: v for k, v in details.items() if k not in ("snapshot", "snapshot_digest")}
        details["start_from"] = world.start_from
    row.state, row.attempts, row.finished_at = "started", row.attempts + 1, None
    row.cost, row.details = row.cost + world.cost, details
    names = ("state", "attempts", "finished_at", "cost", "details")
    change_retraining(engine, row.id, **{name: getattr(row, name) for name in names})
    return row


def _start(engine: Engine, runs: Runs, row: Retraining, attempt: int) -> None:
    details = dict(row.details)
    if "snapshot" not in details:
        details |= runs.snapshot(row.id)
        change_retraining(engine, row.id, details=details)
    name = run_name(row.id, attempt)
    learnt_from = {key: details[key] for key in ("snapshot", "snapshot_digest")}
    runs.submit(name, learnt_from, details.get("start_from", "base"))
    change_retraining(engine, row.id, run=name)


def _go_on(
    engine: Engine,
    runs: Runs,
    row: Retraining,
    options: TriggerOptions,
    rollout: RolloutOptions,
    dry_run: bool,
) -> Decision:
    if row.state == "rolling back":
        return _roll_back(engine, runs, row, "it was begun", dry_run)
    if row.state == "watching":
        return _watch(engine, runs, row, rollout, dry_run)
    name, now = run_name(row.id, row.attempts), datetime.now(UTC)
    state = runs.state(name)
    if state == "none":
        if not dry_run:
            _start(engine, runs, row, row.attempts)
        return Decision("resumed", "it was written down and not started", row.id)
    late = now - row.created_at > row.attempts * timedelta(hours=options.lock_hours)
    if state == "running" and not late:
        return Decision("running", name, row.id)
    if dry_run:
        return Decision("finished", f"{name} {state}", row.id)
    if state == "succeeded":
        released = runs.released(name)
        if released:
            runs.serve_champion()
        details = {**row.details, "released": released}
        following = "watching" if released and rollout.watch_minutes else "succeeded"
        change_retraining(
            engine, row.id, state=following, run=name, finished_at=now, details=details
        )
        became = "is champion" if released else "was not better: the champion stays"
        return Decision("finished", f"the new version {became}", row.id)
    became = "failed"
    if state == "running":
        # Otherwise two runs would train, and release, beside each other.
        runs.cancel(name)
        became = f"was cancelled after {row.attempts * options.lock_hours:g} hours (lock_hours)"
    pause = timedelta(minutes=options.retry_minutes * 2 ** (row.attempts - 1))
    change_retraining(
        engine, row.id, state="failed", run=name, finished_at=now, not_before=now + pause
    )
    return Decision("failed", f"{name} {became}; the champion stays", row.id)


def _watch(
    engine: Engine, runs: Runs, row: Retraining, rollout: RolloutOptions, dry_run: bool
) -> Decision:
    bad = _judged(opinions_since(engine, row.finished_at))
    rate = sum(bad) / len(bad) if bad else 0.0
    if len(bad) >= 5 and rate > rollout.most_bad_rate:
        return _roll_back(engine, runs, row, f"{rate:.0%} of {len(bad)} opinions are bad", dry_run)
    until = (row.finished_at or row.created_at) + timedelta(minutes=rollout.watch_minutes)
    if datetime.now(UTC) < until:
        return Decision("watching", f"until {until:%Y-%m-%d %H:%M} UTC", row.id)
    if not dry_run:
        change_retraining(engine, row.id, state="succeeded")
    return Decision("finished", "nothing spoke against the new version", row.id)


def _roll_back(engine: Engine, runs: Runs, row: Retraining, why: str, dry_run: bool) -> Decision:
    if not dry_run:
        change_retraining(engine, row.id, state="rolling back")
        runs.roll_back(row.run or run_name(row.id, row.attempts))
        runs.serve_champion()
        change_retraining(engine, row.id, state="rolled back")
    return Decision("rolled back", why, row.id)


def _not_now(
    engine: Engine,
    rows: Sequence[Retraining],
    world: World,
    options: TriggerOptions,
    now: datetime,
) -> str | None:
    begun = [row for row in rows if row.state != BASELINE]
    if begun and now - begun[0].created_at < timedelta(hours=options.debounce_hours):
        return f"the last one began at {begun[0].created_at:%Y-%m-%d %H:%M} UTC (debounce_hours)"
    _, last_review = reviewed_since(engine, None)
    if last_review and now - last_review < timedelta(minutes=options.settle_minutes):
        return "somebody reviews just now (settle_minutes)"
    spent = sum(
        row.cost
        for row in begun
        if (row.created_at.year, row.created_at.month) == (now.year, now.month)
    )
    if spent + world.cost > options.monthly_budget:
        return f"{spent:.2f} of {options.monthly_budget:.2f} are spent this month (monthly_budget)"
    return None


def _facts(
    engine: Engine,
    rows: Sequence[Retraining],
    world: World,
    options: TriggerOptions,
    now: datetime,
) -> Facts:
    done = next((row for row in rows if row.state in _SETTLED), None)
    first = next((row for row in rows if row.state == BASELINE), None)
    known = done or first
    begun = next((row for row in rows if row.state != BASELINE), None)
    judged = _judged(opinions_since(engine, done.finished_at if done else None))
    # The first opinions of a champion say what is usual for it.
    usual = min(len(judged) // 2, 100)
    trained_digest = str(known.details.get("corpus_digest", "")) if known else ""
    reviewed = reviewed_since(engine, done.created_at if done else None)[0]
    # The questions stay unknown to a model that learns from the same once more.
    is_news = done is None or reviewed > 0 or world.corpus_digest != trained_digest
    drift = None
    if options.drift_share is not None and is_news:
        since = done.created_at if done else None
        drift = world.unknown_questions(options.drift_questions, since)
    return Facts(
        now=now,
        reviewed=reviewed,
        bad=judged[usual:],
        baseline=judged[:usual],
        corpus_digest=world.corpus_digest,
        trained_digest=trained_digest,
        last_started=begun.created_at if begun else (first.created_at if first else None),
        unknown_questions=drift,
    )


def _judged(opinions: Iterable[Opinion]) -> bytearray:
    """Returns of each person and answer whether it is bad: a byte each, since there are many."""
    found = bytearray()
    for _, said in groupby(opinions, key=lambda one: one[:3]):
        judged: bool | None = None
        for one in said:
            bad, good = is_bad(one.kind, one.value), is_good(one.kind, one.value)
            if bad or good:
                judged = bad or (one.kind != "rating" and bool(judged))
        if judged is not None:
            found.append(judged)
    return found


def as_json(decision: Decision) -> dict[str, Any]:
    """Returns a decision as JSON values."""
    return {
        "action": decision.action,
        "why": decision.why,
        "retraining": decision.retraining,
        "reasons": [{"kind": one.kind, "text": one.text} for one in decision.reasons],
    }
