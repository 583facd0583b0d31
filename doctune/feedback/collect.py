"""Stores feedback: checks it against its prediction, redacts it, and queues it for review."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from doctune.database.engine import Engine
from doctune.database.feedback import NewFeedback, NoSuchPredictionError, keep_feedback
from doctune.database.ids import moment_of
from doctune.errors import UsageError
from doctune.feedback.queue import review_need
from doctune.feedback.request import FAITHFULNESS, FeedbackRequest


@dataclass(frozen=True)
class StorageRules:
    """How what people write is kept.

    Attributes:
        text: What is kept of a text; None where nothing is.
        end_user: What is kept of a person's name.
        labels: The labels that are known; empty takes any.
    """

    text: Callable[[str | None], str | None]
    end_user: Callable[[str | None], str | None]
    labels: Collection[str] = ()


@dataclass(frozen=True)
class FeedbackAuthor:
    """Who says it: the id of a key (or of an import), and the tenant whose answers it may rate."""

    key_id: str
    owner: str


def keep(
    engine: Engine,
    keeping: StorageRules,
    sayer: FeedbackAuthor,
    request: FeedbackRequest,
    said_at: datetime | None = None,
) -> str:
    """Keeps what was said and returns its id.

    Raises:
        NoSuchPredictionError: There is no such prediction, or it is another tenant's.
        IdempotencyError: The idempotency key was used for something else.
        UsageError: The label is none of the project's.
        DatabaseError: It is not kept.
    """
    if request.label is not None and keeping.labels:
        known = {*keeping.labels, FAITHFULNESS}
        if request.label not in known:
            raise UsageError(
                f"label: {request.label!r} is none of yours: {', '.join(sorted(known))}."
            )
    preference = request.preference
    other = preference.other_prediction_id if preference else None
    return keep_feedback(
        engine,
        NewFeedback(
            prediction_id=request.prediction_id,
            predicted_at=_moment(request.prediction_id),
            key_id=sayer.key_id,
            owner=sayer.owner,
            end_user=keeping.end_user(request.user),
            kind=request.kind,
            value=_kept(request, keeping),
            reason=keeping.text(request.reason),
            source=request.source,
            idempotency_key=request.idempotency_key,
            others=((other, _moment(other)),) if other else (),
            said_at=said_at,
        ),
        review_need,
    )


def _kept(request: FeedbackRequest, keeping: StorageRules) -> dict[str, Any]:
    value = request.value()
    if request.kind in ("correction", "comment"):
        return {request.kind: keeping.text(value[request.kind])}
    if request.kind == "preference" and "other_answer" in value["preference"]:
        kept = keeping.text(value["preference"]["other_answer"])
        return {"preference": value["preference"] | {"other_answer": kept}}
    return value


def _moment(prediction_id: str) -> datetime:
    moment = moment_of(prediction_id)
    if moment is None:
        raise NoSuchPredictionError
    return moment
