"""Feedback joined with its predictions, row by row, for exports and analysis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, and_, func, select

from doctune.database.feedback import label_of
from doctune.database.tables import Feedback, Prediction, ReviewItem

_ROWS = 2_000


@dataclass(frozen=True, kw_only=True)
class FeedbackFilter:
    """A filter of feedback. None and empty tuples match everything."""

    since: datetime | None = None
    until: datetime | None = None
    kinds: tuple[str, ...] = ()
    owner: str | None = None
    prediction_id: str | None = None
    states: tuple[str, ...] = ()  # of the review item
    all_versions: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class FeedbackRow:
    """One item of feedback with its prediction and review. Fields of deleted rows are None."""

    id: str
    prediction_id: str
    created_at: datetime
    key_id: str
    owner: str
    end_user: str | None
    kind: str
    value: dict[str, Any]
    reason: str | None
    source: str
    version: int
    predicted_at: datetime | None
    model: str | None
    model_version: str | None
    experiment: str | None
    arm: str | None
    conversation_id: str | None
    messages: list[Any] | None
    answer: str | None
    sources: list[Any] | None
    review_state: str | None
    review_answer: str | None
    reviewed_by: str | None
    reviewed_at: datetime | None
    merged_into: str | None

    @property
    def question(self) -> str:
        """The user's last message."""
        return last_question(self.messages)


def last_question(messages: Sequence[Any] | None) -> str:
    """Returns the user's last message in a conversation, or "" if no content was stored."""
    for turn in reversed(messages or ()):
        if turn.get("role") == "user":
            return str(turn.get("content") or "")
    return ""


def read_feedback(engine: Engine, wanted: FeedbackFilter | None = None) -> Iterator[FeedbackRow]:
    """Yields feedback, earliest first; of feedback that was changed, only the last version.

    Rows are streamed, so memory does not grow with their number.
    """
    wanted = wanted or FeedbackFilter()
    newest = (
        func.row_number()
        .over(
            partition_by=(
                Feedback.prediction_id,
                Feedback.kind,
                label_of(Feedback),
                Feedback.key_id,
                func.coalesce(Feedback.end_user, ""),
            ),
            order_by=(Feedback.version.desc(), Feedback.created_at.desc()),
        )
        .label("newest")
    )
    ranked = select(Feedback.id.label("id"), newest).subquery()
    statement = (
        select(
            *(getattr(Feedback, name) for name in _OF_FEEDBACK),
            Prediction.created_at.label("predicted_at"),
            *(getattr(Prediction, name) for name in _OF_PREDICTION),
            ReviewItem.state.label("review_state"),
            ReviewItem.answer.label("review_answer"),
            ReviewItem.decided_by.label("reviewed_by"),
            ReviewItem.decided_at.label("reviewed_at"),
            ReviewItem.merged_into,
        )
        .join(Prediction, Prediction.id == Feedback.prediction_id, isouter=True)
        .join(ReviewItem, ReviewItem.prediction_id == Feedback.prediction_id, isouter=True)
        .where(*_conditions(wanted))
        .order_by(Feedback.created_at, Feedback.id)
        .execution_options(yield_per=_ROWS)
    )
    if not wanted.all_versions:
        statement = statement.join(ranked, and_(ranked.c.id == Feedback.id, ranked.c.newest == 1))
    with engine.connect() as connection:
        for row in connection.execute(statement).mappings():
            yield FeedbackRow(**row)


_OF_FEEDBACK = (
    *("id", "prediction_id", "created_at", "key_id", "owner", "end_user"),
    *("kind", "value", "reason", "source", "version"),
)
_OF_PREDICTION = (
    *("model", "model_version", "experiment", "arm"),
    *("conversation_id", "messages", "answer", "sources"),
)


def _conditions(wanted: FeedbackFilter) -> list[Any]:
    found: list[Any] = []
    if wanted.since is not None:
        found.append(Feedback.created_at >= wanted.since)
    if wanted.until is not None:
        found.append(Feedback.created_at < wanted.until)
    if wanted.kinds:
        found.append(Feedback.kind.in_(wanted.kinds))
    if wanted.owner is not None:
        found.append(Feedback.owner == wanted.owner)
    if wanted.prediction_id is not None:
        found.append(Feedback.prediction_id == wanted.prediction_id)
    if wanted.states:
        found.append(ReviewItem.state.in_(wanted.states))
    return found
