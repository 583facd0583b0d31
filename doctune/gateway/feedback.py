"""`POST /v1/feedback`: what somebody says of an answer, kept with every version of it."""

from __future__ import annotations

from doctune.database.engine import Engine
from doctune.database.feedback import IdempotencyError, NoSuchPredictionError
from doctune.errors import UsageError
from doctune.feedback import collect
from doctune.feedback.collect import FeedbackAuthor, StorageRules
from doctune.feedback.request import FeedbackRequest
from doctune.gateway.keys import Principal
from doctune.gateway.problems import GatewayError


def keep(
    engine: Engine, keeping: StorageRules, principal: Principal, request: FeedbackRequest
) -> str:
    """Keeps what was said, as the log's settings say, and returns its id.

    Raises:
        GatewayError: 404: there is no such prediction, or it is another tenant's; 409: the
            idempotency key was used for something else; 400: the label is unknown.
        DatabaseError: It is not kept.
    """
    try:
        return collect.keep(engine, keeping, FeedbackAuthor(principal.id, principal.owner), request)
    except NoSuchPredictionError as error:
        raise GatewayError(
            404,
            f"There is no prediction {request.prediction_id}.",
            code="prediction_not_found",
            param="prediction_id",
        ) from error
    except IdempotencyError as error:
        raise GatewayError(
            409,
            "This idempotency key was used for other feedback: choose a new one.",
            code="idempotency_key_reused",
            param="idempotency_key",
        ) from error
    except UsageError as error:
        raise GatewayError(400, str(error), code="invalid_value", param="label") from error
