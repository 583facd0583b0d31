"""The review queue: which reviewer has claimed which answer, the decisions, and the audit log."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Engine, or_, select, update
from sqlalchemy.orm import Session

from doctune.database.feedback import find_prediction, last_versions
from doctune.database.tables import Feedback, Prediction, ReviewEvent, ReviewItem

CLAIM_MINUTES = 15  # then an abandoned item goes back to the queue


@dataclass(frozen=True)
class ReviewDetail:
    """What a reviewer needs to decide on one answer."""

    item: ReviewItem
    prediction: Prediction | None  # None where it was deleted by age
    feedback: tuple[Feedback, ...]  # every version, the earliest first
    events: tuple[ReviewEvent, ...]


class NotYoursError(Exception):
    """The item is claimed by another reviewer, already decided, or does not exist."""


def queue_page(engine: Engine, owner: str, reviewer: str, limit: int) -> list[ReviewItem]:
    """Returns the items to review next, by priority, with near-duplicates next to each other.

    Items that another reviewer has claimed are left out.
    """
    waiting = _can_be_claimed(owner, reviewer, datetime.now(UTC))
    with Session(engine) as session:
        first = session.scalars(
            select(ReviewItem)
            .where(*waiting)
            .order_by(ReviewItem.priority.desc(), ReviewItem.prediction_id)
            .limit(limit)
        ).all()
        clusters = list(dict.fromkeys(item.cluster for item in first))
        alike = session.scalars(
            select(ReviewItem)
            .where(*waiting, ReviewItem.cluster.in_(clusters))
            .order_by(ReviewItem.priority.desc(), ReviewItem.prediction_id)
            .limit(4 * limit)
        ).all()
        session.expunge_all()
    rank = {cluster: number for number, cluster in enumerate(clusters)}
    found = {item.prediction_id: item for item in (*first, *alike)}
    order = sorted(
        found.values(), key=lambda item: (rank[item.cluster], -item.priority, item.prediction_id)
    )
    return order[:limit]


def review_detail(engine: Engine, owner: str, prediction_id: str) -> ReviewDetail:
    """Returns one item with its answer and its history.

    Raises:
        NotYoursError: This owner has no such item.
    """
    with Session(engine) as session:
        item = session.get(ReviewItem, prediction_id)
        if item is None or item.owner != owner:
            raise NotYoursError
        prediction = find_prediction(session, prediction_id, item.predicted_at, owner)
        feedback = session.scalars(
            select(Feedback)
            .where(Feedback.prediction_id == prediction_id)
            .order_by(Feedback.created_at, Feedback.version)
        ).all()
        events = session.scalars(
            select(ReviewEvent)
            .where(ReviewEvent.prediction_id == prediction_id)
            .order_by(ReviewEvent.created_at)
        ).all()
        session.expunge_all()
    return ReviewDetail(item, prediction, tuple(feedback), tuple(events))


def claim(engine: Engine, owner: str, reviewer: str, prediction_id: str) -> datetime:
    """Claims an item for a reviewer, or extends the claim; returns when the claim ends.

    Raises:
        NotYoursError: Another reviewer has claimed it, it is decided, or it does not exist.
    """
    now = datetime.now(UTC)
    until = now + timedelta(minutes=CLAIM_MINUTES)
    statement = (
        update(ReviewItem)
        .where(ReviewItem.prediction_id == prediction_id, *_can_be_claimed(owner, reviewer, now))
        .values(claimed_by=reviewer, claimed_until=until)
    )
    with Session(engine) as session, session.begin():
        if not session.execute(statement.returning(ReviewItem.prediction_id)).all():
            raise NotYoursError
        session.add(_event(prediction_id, reviewer, "claim", {}))
    return until


def release(engine: Engine, owner: str, reviewer: str, prediction_id: str) -> None:
    """Gives a claimed item back. An item that the reviewer has not claimed is left as it is."""
    statement = (
        update(ReviewItem)
        .where(
            ReviewItem.prediction_id == prediction_id,
            ReviewItem.owner == owner,
            ReviewItem.claimed_by == reviewer,
            ReviewItem.state == "open",
        )
        .values(claimed_by=None, claimed_until=None)
    )
    with Session(engine) as session, session.begin():
        if session.execute(statement.returning(ReviewItem.prediction_id)).all():
            session.add(_event(prediction_id, reviewer, "release", {}))


def decide(
    engine: Engine,
    owner: str,
    reviewer: str,
    prediction_id: str,
    *,
    state: str,
    answer: str | None = None,
    merged_into: str | None = None,
    note: str | None = None,
) -> None:
    """Stores a reviewer's decision on an item that they have claimed, and ends the claim.

    Args:
        state: accepted, edited, rejected or merged.
        answer: The correct answer, if the reviewer gave one.
        merged_into: The item whose decision also applies to this one.

    Raises:
        NotYoursError: The reviewer has not claimed the item, or the item to merge it into does
            not exist.
    """
    now = datetime.now(UTC)
    statement = (
        update(ReviewItem)
        .where(
            ReviewItem.prediction_id == prediction_id,
            ReviewItem.owner == owner,
            ReviewItem.state == "open",
            ReviewItem.claimed_by == reviewer,
            ReviewItem.claimed_until >= now,
        )
        .values(
            state=state,
            answer=answer,
            merged_into=merged_into,
            decided_by=reviewer,
            decided_at=now,
            claimed_by=None,
            claimed_until=None,
        )
    )
    with Session(engine) as session, session.begin():
        if merged_into is not None:
            target = session.get(ReviewItem, merged_into)
            if target is None or target.owner != owner or merged_into == prediction_id:
                raise NotYoursError
        if not session.execute(statement.returning(ReviewItem.prediction_id)).all():
            raise NotYoursError
        details = {"answer": answer, "merged_into": merged_into, "note": note}
        session.add(_event(prediction_id, reviewer, state, details))


def open_items(engine: Engine) -> list[tuple[ReviewItem, list[Feedback]]]:
    """Returns the undecided items, each with the last version of all its feedback."""
    with Session(engine) as session:
        items = session.scalars(select(ReviewItem).where(ReviewItem.state == "open")).all()
        said: dict[str, list[Feedback]] = {}
        for row in session.scalars(
            select(Feedback)
            .join(ReviewItem, ReviewItem.prediction_id == Feedback.prediction_id)
            .where(ReviewItem.state == "open")
        ):
            said.setdefault(row.prediction_id, []).append(row)
        session.expunge_all()
    return [(item, last_versions(said.get(item.prediction_id, []))) for item in items]


def _can_be_claimed(owner: str, reviewer: str, now: datetime) -> tuple[ColumnElement[bool], ...]:
    """Returns the conditions of undecided items that no other reviewer has claimed."""
    return (
        ReviewItem.owner == owner,
        ReviewItem.state == "open",
        or_(
            ReviewItem.claimed_until.is_(None),
            ReviewItem.claimed_until < now,
            ReviewItem.claimed_by == reviewer,
        ),
    )


def _event(prediction_id: str, reviewer: str, action: str, details: dict[str, Any]) -> ReviewEvent:
    return ReviewEvent(
        id=secrets.token_hex(16),
        prediction_id=prediction_id,
        created_at=datetime.now(UTC),
        reviewer=reviewer,
        action=action,
        details={name: value for name, value in details.items() if value is not None},
    )
