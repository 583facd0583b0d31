"""Retrainings: each with its reason, from its start to its end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Engine, func, select, update
from sqlalchemy.orm import Session

from doctune.database.feedback_rows import last_question
from doctune.database.tables import Erasure, Feedback, Prediction, Retraining, ReviewItem

BASELINE = "baseline"
_ROWS_AT_ONCE = 200


def retrainings(engine: Engine, since: datetime | None = None) -> list[Retraining]:
    """Returns the retrainings, the latest first."""
    statement = select(Retraining).order_by(Retraining.created_at.desc(), Retraining.id)
    if since is not None:
        statement = statement.where(Retraining.created_at >= since)
    with Session(engine) as session:
        found = list(session.scalars(statement))
        session.expunge_all()
    return found


def add_retraining(
    engine: Engine,
    retraining_id: str,
    reason: dict[str, Any],
    details: dict[str, Any],
    *,
    state: str = "started",
    cost: float = 0.0,
) -> Retraining:
    """Keeps a retraining that begins, before anything of it is done."""
    now = datetime.now(UTC)
    row = Retraining(
        id=retraining_id,
        created_at=now,
        state=state,
        reason=reason,
        attempts=1,
        cost=cost,
        details=details,
        finished_at=None if state == "started" else now,
    )
    with Session(engine, expire_on_commit=False) as session, session.begin():
        session.add(row)
    return row


def change_retraining(engine: Engine, retraining_id: str, **values: Any) -> None:
    """Sets columns of a retraining."""
    statement = update(Retraining).where(Retraining.id == retraining_id).values(**values)
    with engine.begin() as connection:
        connection.execute(statement)


def last_erasure(engine: Engine) -> datetime | None:
    """Returns when somebody was erased last."""
    with engine.connect() as connection:
        return connection.execute(select(func.max(Erasure.erased_at))).scalar()


def reviewed_since(engine: Engine, moment: datetime | None) -> tuple[int, datetime | None]:
    """Returns how many items were accepted after a moment, and when the last one was."""
    statement = select(func.count(), func.max(ReviewItem.decided_at)).where(
        ReviewItem.state.in_(("accepted", "edited"))
    )
    if moment is not None:
        statement = statement.where(ReviewItem.decided_at > moment)
    with engine.connect() as connection:
        count, last = connection.execute(statement).one()
    return int(count), last


class Opinion(NamedTuple):
    """What one person said of one answer."""

    prediction_id: str
    key_id: str
    end_user: str | None
    kind: str
    value: dict[str, Any]


def opinions_since(engine: Engine, moment: datetime | None) -> Iterator[Opinion]:
    """Yields feedback on the answers given after a moment.

    What one person said of one answer stands together, in the order in which it was said; these
    groups are in the order of their first word. The rows are not held in memory.
    """
    of_one = (Feedback.prediction_id, Feedback.key_id, Feedback.end_user)
    first = func.min(Feedback.created_at).over(partition_by=of_one)
    statement = (
        select(*of_one, Feedback.kind, Feedback.value)
        .join(Prediction, Prediction.id == Feedback.prediction_id)
        .order_by(first, *of_one, Feedback.created_at, Feedback.id)
    )
    if moment is not None:
        statement = statement.where(Prediction.created_at > moment)
    with engine.connect().execution_options(yield_per=_ROWS_AT_ONCE) as connection:
        for row in connection.execute(statement):
            yield Opinion(*row)


def last_questions(engine: Engine, most: int, since: datetime | None = None) -> list[str]:
    """Returns the last questions that were asked, the latest first.

    Args:
        since: Those before it do not count.
    """
    statement = (
        select(Prediction.messages)
        .where(Prediction.messages.is_not(None), Prediction.status < 400)
        .order_by(Prediction.created_at.desc())
        .limit(most)
    )
    if since is not None:
        statement = statement.where(Prediction.created_at > since)
    with engine.connect() as connection:
        found = [last_question(messages) for messages in connection.execute(statement).scalars()]
    return [question for question in found if question]
