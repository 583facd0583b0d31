"""People's feedback on answers, with all versions."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Engine, func, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from doctune.database.tables import Feedback, Prediction, ReviewItem

# A prediction's id contains its time; its row's time is within this interval of it.
NEAR = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class NewFeedback:
    """One item of feedback to store."""

    prediction_id: str
    predicted_at: datetime  # within a minute: it tells which month's partition to look at
    key_id: str
    owner: str
    end_user: str | None
    kind: str
    value: dict[str, Any]
    reason: str | None
    source: str
    idempotency_key: str | None
    # Predictions that it names beside its own, each with about when it was made.
    others: tuple[tuple[str, datetime], ...] = ()
    said_at: datetime | None = None  # where it was said elsewhere and earlier


@dataclass(frozen=True, kw_only=True)
class ReviewNeed:
    """The priority of an answer in the review queue, and why."""

    question: str
    cluster: str
    priority: float
    disagreement: bool


# Maps an answer and all feedback on it (the latest versions) to its need for a review.
Judge = Callable[[Prediction, Sequence[Feedback]], ReviewNeed | None]


class NoSuchPredictionError(Exception):
    """There is no such prediction, or it belongs to another tenant."""


class IdempotencyError(Exception):
    """The idempotency key was used for other feedback before."""


def keep_feedback(engine: Engine, said: NewFeedback, judge: Judge | None = None) -> str:
    """Stores feedback and returns its id; with a repeated idempotency key, the first item's id.

    Args:
        judge: Decides whether the answer needs a review; None leaves the queue unchanged.

    Raises:
        NoSuchPredictionError: This owner has no such prediction.
        IdempotencyError: The key was used for other feedback.
    """
    with Session(engine) as session:
        if engine.dialect.name == "sqlite":
            # SQLite has no row locks: two versions of the same feedback would get the same number.
            session.execute(text("BEGIN IMMEDIATE"))
        prediction = find_prediction(
            session, said.prediction_id, said.predicted_at, said.owner, lock=True
        )
        if prediction is None or not all(
            find_prediction(session, other, moment, said.owner) for other, moment in said.others
        ):
            raise NoSuchPredictionError
        if known := _already(session, said):
            return known
        row = _row(session, said)
        feedback_id = row.id
        try:
            session.add(row)
            session.flush()
            if judge is not None:
                _queue(session, prediction, judge)
            session.commit()
        except IntegrityError:
            session.rollback()
            # The same was said at the same time: one of the two is kept.
            if known := _already(session, said):
                return known
            raise
    return feedback_id


def find_prediction(
    session: Session, prediction_id: str, at: datetime, owner: str | None, *, lock: bool = False
) -> Prediction | None:
    """Returns a prediction; None if there is none or it belongs to another owner.

    Args:
        at: When it was made, within a minute.
        owner: The required owner; None for any.
        lock: Whether to lock the row until this transaction ends.
    """
    statement = select(Prediction).where(
        Prediction.id == prediction_id, Prediction.created_at.between(at - NEAR, at + NEAR)
    )
    found = session.scalars(statement.with_for_update() if lock else statement).first()
    return None if found is None or owner not in (None, found.owner) else found


def prediction_of(engine: Engine, prediction_id: str, at: datetime) -> Prediction | None:
    """Returns a prediction of any owner, or None."""
    with Session(engine) as session:
        found = find_prediction(session, prediction_id, at, None)
        session.expunge_all()
    return found


def owner_of(engine: Engine, prediction_id: str, at: datetime) -> str | None:
    """Returns the owner of a prediction, or None."""
    with Session(engine) as session:
        found = find_prediction(session, prediction_id, at, None)
        return None if found is None else found.owner


def label_of(table: type[Feedback]) -> ColumnElement[str]:
    """Returns the label in feedback, or ""."""
    return func.coalesce(table.value["label"].as_string(), "")


def last_versions(rows: Sequence[Feedback]) -> list[Feedback]:
    """Returns the latest version of each person's feedback of each kind, earliest first."""
    last: dict[tuple[str, str, str, str, str | None], Feedback] = {}
    for row in sorted(rows, key=lambda row: (row.version, row.created_at)):
        # Labels stand beside one another: a second one does not take the first back.
        label = str(row.value.get("label", ""))
        last[row.prediction_id, row.kind, label, row.key_id, row.end_user] = row
    return sorted(last.values(), key=lambda row: (row.created_at, row.id))


def _queue(session: Session, prediction: Prediction, judge: Judge) -> None:
    said = session.scalars(select(Feedback).where(Feedback.prediction_id == prediction.id)).all()
    need = judge(prediction, last_versions(said))
    item = session.get(ReviewItem, prediction.id)
    if need is None:
        # What nobody has looked at yet, and nobody complains of any more, needs no look.
        if item is not None and item.state == "open":
            session.delete(item)
        return
    if item is None:
        item = ReviewItem(
            prediction_id=prediction.id,
            owner=prediction.owner,
            predicted_at=prediction.created_at,
            state="open",
        )
        session.add(item)
    item.question, item.cluster = need.question, need.cluster
    item.priority, item.disagreement = need.priority, need.disagreement
    item.updated_at = datetime.now(UTC)


def _already(session: Session, said: NewFeedback) -> str | None:
    if said.idempotency_key is None:
        return None
    known = session.scalars(
        select(Feedback).where(
            Feedback.key_id == said.key_id, Feedback.idempotency_key == said.idempotency_key
        )
    ).first()
    if known is None:
        return None
    if (known.prediction_id, known.kind, known.value) != (
        said.prediction_id,
        said.kind,
        said.value,
    ):
        raise IdempotencyError
    return known.id


def _row(session: Session, said: NewFeedback) -> Feedback:
    of_user = Feedback.end_user == said.end_user if said.end_user else Feedback.end_user.is_(None)
    of_label = label_of(Feedback) == str(said.value.get("label", ""))
    earlier = session.scalars(
        select(func.max(Feedback.version)).where(
            Feedback.prediction_id == said.prediction_id,
            Feedback.kind == said.kind,
            Feedback.key_id == said.key_id,
            of_user,
            of_label,
        )
    ).one()
    return Feedback(
        id=f"fb_{secrets.token_hex(12)}",
        prediction_id=said.prediction_id,
        created_at=said.said_at or datetime.now(UTC),
        key_id=said.key_id,
        owner=said.owner,
        end_user=said.end_user,
        kind=said.kind,
        value=said.value,
        reason=said.reason,
        source=said.source,
        version=(earlier or 0) + 1,
        idempotency_key=said.idempotency_key,
    )
