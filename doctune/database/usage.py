"""What was asked: sums by key, model and day, the last requests, and a person's erasure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, delete, func, insert, select
from sqlalchemy.orm import Session

from doctune.database.conversations import forget_conversations
from doctune.database.tables import ApiKey, Erasure, Feedback, Prediction, ReviewEvent, ReviewItem


@dataclass(frozen=True)
class Usage:
    """One key's use of one model on one day (UTC)."""

    day: str
    key: str
    model: str
    requests: int
    errors: int
    prompt_tokens: int
    completion_tokens: int


def usage_by_day(engine: Engine, days: int) -> list[Usage]:
    """Returns the use within the last days, the latest first."""
    since = datetime.now(UTC) - timedelta(days=days)
    day = func.date(Prediction.created_at)
    key = func.coalesce(ApiKey.name, Prediction.key_id)
    statement = (
        select(
            day,
            key,
            Prediction.model,
            func.count(),
            func.count().filter(Prediction.status >= 400),
            func.sum(Prediction.prompt_tokens),
            func.sum(Prediction.completion_tokens),
        )
        .join(ApiKey, ApiKey.id == Prediction.key_id, isouter=True)
        .where(Prediction.created_at >= since)
        .group_by(day, key, Prediction.model)
        .order_by(day.desc(), key, Prediction.model)
    )
    with engine.connect() as connection:
        return [
            # Postgres gives days as dates and sums as Decimal.
            Usage(str(day), key, model, requests, errors, int(prompt or 0), int(completion or 0))
            for day, key, model, requests, errors, prompt, completion in connection.execute(
                statement
            )
        ]


def latest_predictions(engine: Engine, after: datetime, most: int) -> list[Prediction]:
    """Returns the predictions after a moment, the earliest first; the latest if there are more."""
    statement = (
        select(Prediction)
        .where(Prediction.created_at > after)
        .order_by(Prediction.created_at.desc())
        .limit(most)
    )
    with Session(engine) as session:
        rows = list(session.scalars(statement))
        session.expunge_all()
    return rows[::-1]


def forget_user(engine: Engine, end_user: str) -> tuple[int, int]:
    """Erases what is kept of a person, conversations too.

    Returns how many predictions and pieces of feedback there were.

    Args:
        end_user: As it is kept, which may be a hash.
    """
    forget_conversations(engine, end_user)
    of_user = select(Prediction.id).where(Prediction.end_user == end_user)
    said_of = select(Feedback.prediction_id).where(Feedback.end_user == end_user)
    still_said_of = select(Feedback.prediction_id)
    with engine.begin() as connection:
        commented = list(connection.execute(said_of.distinct()).scalars())
        feedback = connection.execute(
            delete(Feedback).where(
                (Feedback.end_user == end_user) | Feedback.prediction_id.in_(of_user)
            )
        ).rowcount
        for table in (ReviewEvent, ReviewItem):
            # An answer that a reviewer took from what this person said goes with it.
            connection.execute(
                delete(table).where(
                    table.prediction_id.in_(of_user)
                    | (
                        table.prediction_id.in_(commented)
                        & table.prediction_id.not_in(still_said_of)
                    )
                )
            )
        predictions = connection.execute(
            delete(Prediction).where(Prediction.end_user == end_user)
        ).rowcount
        # The next retraining must not go on from a model that learnt of it.
        connection.execute(insert(Erasure).values(erased_at=datetime.now(UTC)))
    return predictions, feedback
