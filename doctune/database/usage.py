"""What was asked: sums by key, model and day, the last requests, and a person's erasure."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Engine, delete, func, insert, or_, select
from sqlalchemy.orm import Session, defer

from doctune.database.conversations import forget_conversations
from doctune.database.tables import ApiKey, Erasure, Feedback, Prediction, ReviewEvent, ReviewItem

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)  # before all predictions

_TEXTS = (Prediction.messages, Prediction.answer, Prediction.parameters, Prediction.sources)
_LONGEST_REQUEST = timedelta(minutes=10)
_MOST_FOLLOWED = 5000  # rows that are looked through at each poll


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
    # Postgres would take the day of its own time zone; SQLite keeps UTC.
    moment: Any = Prediction.created_at
    if engine.dialect.name == "postgresql":
        moment = func.timezone("UTC", moment)
    day = func.date(moment)
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


def endpoint_requests(
    engine: Engine, model: str, upstream: str, since: datetime
) -> tuple[int, int]:
    """Returns how many requests of a model there were, and how many an upstream did not answer.

    Answers from the cache do not count, nor do requests that an experiment gave to an arm.

    Args:
        upstream: The one that should answer, such as vertex:handbook; where another one did in its
            place, it had failed.
    """
    failed = or_(Prediction.status >= 500, func.coalesce(Prediction.upstream, upstream) != upstream)
    statement = select(func.count(), func.count().filter(failed)).where(
        Prediction.model == model,
        Prediction.created_at >= since,
        Prediction.cache != "hit",
        Prediction.arm.is_(None),
    )
    with engine.connect() as connection:
        asked, wrong = connection.execute(statement).one()
    return int(asked), int(wrong)


def latest_predictions(
    engine: Engine, after: datetime, most: int, *, texts: bool = True
) -> list[Prediction]:
    """Returns the predictions after a moment, the earliest first; the latest if there are more.

    Args:
        texts: Whether messages, answers, parameters and sources are read too.
    """
    statement = (
        select(Prediction)
        .where(Prediction.created_at > after)
        .order_by(Prediction.created_at.desc())
        .limit(most)
    )
    if not texts:
        statement = statement.options(*map(defer, _TEXTS))
    with Session(engine) as session:
        rows = list(session.scalars(statement))
        session.expunge_all()
    return rows[::-1]


def follow_predictions(
    engine: Engine, most: int, poll_seconds: float = 1.0
) -> Iterator[Prediction]:
    """Yields the latest predictions, and then each new one, without end.

    A row bears the time at which its request came, but is written once it has been answered: what
    came up to ten minutes ago may be new.
    """

    def within_reach() -> list[Prediction]:
        since = datetime.now(UTC) - _LONGEST_REQUEST
        return latest_predictions(engine, since, _MOST_FOLLOWED, texts=False)

    known = {row.id for row in within_reach()}
    first = latest_predictions(engine, BEGINNING, most, texts=False)
    known.update(row.id for row in first)
    yield from first
    while True:
        time.sleep(poll_seconds)
        rows = within_reach()
        yield from (row for row in rows if row.id not in known)
        known = {row.id for row in rows}


class Erased(NamedTuple):
    """How much there was of a person."""

    predictions: int
    feedback: int
    conversations: int


def forget_user(engine: Engine, end_user: str) -> Erased:
    """Erases what is kept of a person, and returns how much that was.

    Args:
        end_user: As it is kept, which may be a hash.
    """
    conversations = forget_conversations(engine, end_user)
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
        # The next retraining must not go on from a model that learnt of it. A name of whom nothing
        # is kept, perhaps mistyped, is no reason to begin anew.
        if predictions or feedback or conversations:
            connection.execute(insert(Erasure).values(erased_at=datetime.now(UTC)))
    return Erased(predictions, feedback, conversations)
