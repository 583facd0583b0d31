"""Retrainings: each with its reason, from its start to its end."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, func, select, update
from sqlalchemy.orm import Session

from doctune.database.feedback_rows import last_question
from doctune.database.tables import Erasure, Feedback, Prediction, Retraining, ReviewItem

BASELINE = "baseline"


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


def opinions_since(engine: Engine, moment: datetime | None) -> list[tuple[str, Feedback]]:
    """Returns feedback on the answers given after a moment, each with the answer's version."""
    statement = (
        select(Prediction.model_version, Feedback)
        .join(Prediction, Prediction.id == Feedback.prediction_id)
        .order_by(Feedback.created_at, Feedback.id)
    )
    if moment is not None:
        statement = statement.where(Prediction.created_at > moment)
    with Session(engine) as session:
        found = [(str(version or ""), row) for version, row in session.execute(statement)]
        session.expunge_all()
    return found


def last_questions(engine: Engine, most: int) -> list[str]:
    """Returns the last questions that were asked, the latest first."""
    statement = (
        select(Prediction.messages)
        .where(Prediction.messages.is_not(None), Prediction.status < 400)
        .order_by(Prediction.created_at.desc())
        .limit(most)
    )
    with engine.connect() as connection:
        found = [last_question(messages) for messages in connection.execute(statement).scalars()]
    return [question for question in found if question]
