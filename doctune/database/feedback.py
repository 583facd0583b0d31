"""What people say of answers, with every version of it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from doctune.database.tables import Feedback, Prediction


@dataclass(frozen=True, kw_only=True)
class Said:
    """One piece of feedback, as it is to be kept."""

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


class NoSuchPredictionError(Exception):
    """There is no such prediction, or it is another tenant's."""


def keep_feedback(engine: Engine, said: Said) -> str:
    """Keeps what was said and returns its id; said twice with one idempotency key, the first one's.

    Raises:
        NoSuchPredictionError: There is no such prediction of this owner.
    """
    with Session(engine) as session:
        near = timedelta(minutes=1)
        owner = session.scalars(
            select(Prediction.owner).where(
                Prediction.id == said.prediction_id,
                Prediction.created_at.between(said.predicted_at - near, said.predicted_at + near),
            )
        ).first()
        if owner != said.owner:
            raise NoSuchPredictionError
        if known := _already(session, said):
            return known
        row = _row(session, said)
        feedback_id = row.id
        try:
            session.add(row)
            session.commit()
        except IntegrityError:
            session.rollback()
            # The same was said at the same time: one of the two is kept.
            if known := _already(session, said):
                return known
            raise
    return feedback_id


def _already(session: Session, said: Said) -> str | None:
    if said.idempotency_key is None:
        return None
    return session.scalars(
        select(Feedback.id).where(
            Feedback.key_id == said.key_id, Feedback.idempotency_key == said.idempotency_key
        )
    ).first()


def _row(session: Session, said: Said) -> Feedback:
    of_user = Feedback.end_user == said.end_user if said.end_user else Feedback.end_user.is_(None)
    earlier = session.scalars(
        select(func.max(Feedback.version)).where(
            Feedback.prediction_id == said.prediction_id,
            Feedback.kind == said.kind,
            Feedback.key_id == said.key_id,
            of_user,
        )
    ).one()
    return Feedback(
        id=f"fb_{secrets.token_hex(12)}",
        prediction_id=said.prediction_id,
        created_at=datetime.now(UTC),
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
