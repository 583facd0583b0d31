"""Experiments and their decisions. Only the controller with the lease changes an experiment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from doctune.database.leases import take
from doctune.database.tables import Experiment, ExperimentDecision
from doctune.errors import DoctuneError, UsageError

HOLD = "hold"  # the action of a step that only waits
PREPARING, RUNNING, ENDING, ENDED = "preparing", "running", "ending", "ended"


class LeaseLostError(DoctuneError):
    """Another controller has the experiment now."""


@dataclass(frozen=True)
class ExperimentState:
    """The current state of an experiment."""

    name: str
    model: str
    layer: str
    plan: Mapping[str, Any]
    state: str
    verdict: str | None
    winner: str | None
    stage: int
    shares: Mapping[str, int]  # buckets of each arm
    upstreams: Mapping[str, str]  # where an arm is asked; the model's own where it is not named
    dropped: tuple[str, ...]
    requested: str | None  # the arm to keep, where somebody asked to stop it
    created_at: datetime
    started_at: datetime | None
    stage_at: datetime | None
    ended_at: datetime | None
    lease_owner: str | None
    lease_until: datetime | None


@dataclass(frozen=True)
class Decided:
    """One step of an experiment and the numbers behind it."""

    decided_at: datetime
    action: str
    sentence: str
    numbers: Mapping[str, Any]


def add_experiment(
    engine: Engine, name: str, model: str, layer: str, plan: Mapping[str, Any], now: datetime
) -> None:
    """Adds an experiment whose arms are not deployed yet.

    Raises:
        UsageError: There is an experiment of that name.
    """
    row = Experiment(
        name=name,
        model=model,
        layer=layer,
        plan=dict(plan),
        state=PREPARING,
        stage=0,
        shares={},
        upstreams={},
        dropped=[],
        created_at=now,
    )
    try:
        with Session(engine) as session:
            session.add(row)
            session.commit()
    except IntegrityError as error:
        raise UsageError(f"there is already an experiment {name}: choose another name.") from error


def get_experiment(engine: Engine, name: str) -> ExperimentState:
    """Returns an experiment.

    Raises:
        UsageError: There is no experiment of that name.
    """
    with Session(engine) as session:
        row = session.get(Experiment, name)
        if row is None:
            raise UsageError(
                f"there is no experiment {name}: `doctune experiment list` shows them."
            )
        return _state(row)


def list_experiments(engine: Engine, states: Sequence[str] = ()) -> list[ExperimentState]:
    """Returns the experiments in some states, or all, oldest first."""
    query = select(Experiment).order_by(Experiment.created_at, Experiment.name)
    if states:
        query = query.where(Experiment.state.in_(states))
    with Session(engine) as session:
        return [_state(row) for row in session.scalars(query)]


def take_lease(engine: Engine, name: str, owner: str, now: datetime, seconds: float) -> bool:
    """Takes or renews the lease of an experiment; returns whether this owner has it."""
    columns, until = (
        (Experiment.lease_owner, Experiment.lease_until),
        now + timedelta(seconds=seconds),
    )
    with engine.begin() as connection:
        return take(connection, Experiment.name == name, columns, owner, until, now)


def release_lease(engine: Engine, name: str, owner: str) -> None:
    """Releases the lease if this owner has it."""
    statement = (
        update(Experiment)
        .where(Experiment.name == name, Experiment.lease_owner == owner)
        .values(lease_owner=None, lease_until=None)
    )
    with engine.begin() as connection:
        connection.execute(statement)


def advance(
    engine: Engine,
    name: str,
    owner: str,
    decided: Decided,
    changes: Mapping[str, Any],
    spacing: timedelta = timedelta(0),
) -> None:
    """Writes a step and its changes in one transaction.

    Args:
        changes: Values by column of `Experiment`.
        spacing: Minimum time between the waiting steps that are kept, besides the newest.

    Raises:
        LeaseLostError: This owner does not have the lease; nothing is written.
    """
    with Session(engine) as session:
        mine = Experiment.name == name, Experiment.lease_owner == owner
        statement = update(Experiment).where(*mine).values(lease_owner=owner, **changes)
        if session.connection().execute(statement).rowcount != 1:
            session.rollback()
            raise LeaseLostError(
                f"another controller has taken over the experiment {name}: nothing was written."
            )
        row = _row_for(session, name, decided, spacing)
        row.decided_at, row.action = decided.decided_at, decided.action
        row.sentence, row.numbers = decided.sentence, dict(decided.numbers)
        session.commit()


def _row_for(
    session: Session, name: str, decided: Decided, spacing: timedelta
) -> ExperimentDecision:
    """Returns a new row, or the last step's row if this step replaces it."""
    if decided.action == HOLD:
        last = session.scalars(
            select(ExperimentDecision)
            .where(ExperimentDecision.experiment == name)
            .order_by(ExperimentDecision.id.desc())
            .limit(2)
        ).all()
        waited = len(last) == 2 and all(row.action == HOLD for row in last)
        if waited and last[0].decided_at - last[1].decided_at < spacing:
            return last[0]
    row = ExperimentDecision(experiment=name)
    session.add(row)
    return row


def request_stop(engine: Engine, name: str, keep: str) -> None:
    """Requests the end of an experiment; its controller ends it and keeps the named arm."""
    with engine.begin() as connection:
        connection.execute(update(Experiment).where(Experiment.name == name).values(requested=keep))


def decisions_of(engine: Engine, name: str, last: int | None = None) -> list[Decided]:
    """Returns the decisions on an experiment, oldest first.

    Args:
        last: Only this many, the newest.
    """
    query = select(ExperimentDecision).where(ExperimentDecision.experiment == name)
    query = query.order_by(ExperimentDecision.id.desc())
    if last is not None:
        query = query.limit(last)
    with Session(engine) as session:
        rows = [
            Decided(row.decided_at, row.action, row.sentence, row.numbers)
            for row in session.scalars(query)
        ]
    return rows[::-1]


def _state(row: Experiment) -> ExperimentState:
    return ExperimentState(
        name=row.name,
        model=row.model,
        layer=row.layer,
        plan=row.plan,
        state=row.state,
        verdict=row.verdict,
        winner=row.winner,
        stage=row.stage,
        shares=row.shares,
        upstreams=row.upstreams,
        dropped=tuple(row.dropped),
        requested=row.requested,
        created_at=row.created_at,
        started_at=row.started_at,
        stage_at=row.stage_at,
        ended_at=row.ended_at,
        lease_owner=row.lease_owner,
        lease_until=row.lease_until,
    )
