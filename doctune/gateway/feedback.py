"""`POST /v1/feedback`: what somebody says of an answer, kept with every version of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from doctune.database.engine import Engine
from doctune.database.feedback import NoSuchPredictionError, Said, keep_feedback
from doctune.gateway.ids import moment_of
from doctune.gateway.keys import Principal
from doctune.gateway.problems import GatewayError
from doctune.gateway.records import Recorder

_Text = Annotated[str, StringConstraints(max_length=20_000)]


class FeedbackRequest(BaseModel):
    """What is said of one answer."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    prediction_id: str = Field(max_length=64)
    kind: Literal["rating", "correction", "label", "comment"]
    rating: Literal["up", "down"] | int | None = None
    correction: _Text | None = Field(default=None, min_length=1)
    label: str | None = Field(default=None, min_length=1, max_length=128)
    comment: _Text | None = Field(default=None, min_length=1)
    reason: _Text | None = None
    source: Literal["end_user", "annotator", "program"] = "end_user"
    user: str | None = Field(default=None, max_length=256)
    idempotency_key: str | None = Field(default=None, min_length=1, max_length=128)

    @model_validator(mode="after")
    def _value_is_of_the_kind(self) -> FeedbackRequest:
        given = {
            name
            for name in ("rating", "correction", "label", "comment")
            if getattr(self, name) is not None
        }
        if given != {self.kind}:
            raise ValueError(f"kind {self.kind} needs {self.kind}, and nothing of another kind")
        if isinstance(self.rating, int) and not 1 <= self.rating <= 5:
            raise ValueError("rating is up, down, or a number from 1 to 5")
        return self


def keep(engine: Engine, recorder: Recorder, principal: Principal, request: FeedbackRequest) -> str:
    """Keeps what was said, as the log's settings say, and returns its id.

    Raises:
        GatewayError: 404: there is no such prediction, or it is another tenant's.
        DatabaseError: It is not kept.
    """
    given: Any = getattr(request, request.kind)
    kept = recorder.text(given) if request.kind in ("correction", "comment") else given
    predicted_at = moment_of(request.prediction_id)
    try:
        if predicted_at is None:
            raise NoSuchPredictionError
        return keep_feedback(
            engine,
            Said(
                prediction_id=request.prediction_id,
                predicted_at=predicted_at,
                key_id=principal.id,
                owner=principal.owner,
                end_user=recorder.end_user(request.user),
                kind=request.kind,
                value={request.kind: kept},
                reason=recorder.text(request.reason),
                source=request.source,
                idempotency_key=request.idempotency_key,
            ),
        )
    except NoSuchPredictionError as error:
        raise GatewayError(
            404,
            f"There is no prediction {request.prediction_id}.",
            code="prediction_not_found",
            param="prediction_id",
        ) from error
