"""Smoke test of a new deployment, through the endpoint that it shares with others.

A client cannot address one deployed model behind a traffic split, but each answer names the model
that gave it. So the test sends predictions until the new deployment has answered. Answers of other
deployments say nothing about it, and an error does not say which deployment failed, so neither
counts against it; only its silence does. With a share of 10 %, 131 predictions miss a healthy
deployment once in a million tests; that many without an answer from it, over at least a minute,
fail the test. Only where it has all traffic do errors count against it.

By invoke routes one deployed model can be addressed, whatever its share: there the test asks the
new deployment alone, before it has any traffic.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from doctune import limits
from doctune.errors import DeploymentError
from doctune.progress import progress
from doctune.vertex.containers import PREDICT_ROUTE
from doctune.vertex.errors import explain, google_error_types
from doctune.vertex.labels import is_invoked

if TYPE_CHECKING:
    from google.cloud import aiplatform

# The probability that a healthy deployment fails because no prediction reached it.
_MISSED_BY_CHANCE = 1e-6
_LEAST_PREDICTIONS = 5
# A change of the split takes a while to reach all of Vertex AI's front ends.
_LEAST_SECONDS = 60.0
LONGEST_SECONDS = 900.0
_ERRORS_AGAINST_IT = 4
_LONGEST_REASON = 500  # characters
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 2.0


def smoke_test(
    endpoint: str,
    deployed_id: str,
    instances: Sequence[Mapping[str, Any]],
    parameters: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Returns one deployment's answers to the instances.

    Args:
        endpoint: Resource name.
        deployed_id: The deployed model to test.

    Raises:
        DeploymentError: It does not answer, or leaves a question without a text.
    """
    from google.cloud import aiplatform

    asked_of = aiplatform.Endpoint(endpoint)
    shares = {key: share for key, share in dict(asked_of.traffic_split).items() if share}
    addressed = deployed_id if is_invoked(asked_of.labels) else ""
    serves_alone = bool(addressed) or set(shares) == {deployed_id}
    bound = most_predictions(100 if addressed else shares.get(deployed_id, 0))
    errors: list[Exception] = []
    start, asked, pause = time.monotonic(), 0, _FIRST_PAUSE_SECONDS
    with progress(f"Testing {asked_of.display_name}", None, "predictions") as bar:
        while _goes_on(asked, bound, time.monotonic() - start):
            asked += 1
            bar.advance()
            try:
                who, predictions = predict(asked_of, instances, parameters, addressed)
            except google_error_types() as error:
                errors.append(error)
                if serves_alone and len(errors) >= _ERRORS_AGAINST_IT:
                    break
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
                continue
            if who == deployed_id:
                check_answers(instances, predictions)
                return predictions
            if asked > bound:
                time.sleep(_FIRST_PAUSE_SECONDS)
    reason = explain(errors[-1]) if errors else "other deployments gave all answers."
    raise DeploymentError(
        f"the new deployment on {asked_of.display_name} failed its smoke test: it answered none of "
        f"{asked} predictions, {len(errors)} of which failed: {reason}"
    )


def _goes_on(asked: int, bound: int, seconds: float) -> bool:
    return (asked < bound or seconds < _LEAST_SECONDS) and seconds < LONGEST_SECONDS


def most_predictions(share: int) -> int:
    """Returns how many predictions may go unanswered by a deployment before it fails the test.

    Args:
        share: The deployment's share of the traffic, 0 to 100.
    """
    if share <= 0:
        return 0
    if share >= 100:
        return _LEAST_PREDICTIONS
    needed = math.ceil(math.log(_MISSED_BY_CHANCE) / math.log(1 - share / 100))
    return max(_LEAST_PREDICTIONS, needed)


def predict(
    endpoint: aiplatform.Endpoint,
    instances: Sequence[Mapping[str, Any]],
    parameters: Mapping[str, Any] | None,
    deployed_id: str = "",
) -> tuple[str, list[Any]]:
    """Returns the id of the deployment that answered, and its predictions.

    Args:
        deployed_id: The deployed model that is asked, by its invoke route; empty: the traffic split
            decides.
    """
    if is_invoked(endpoint.labels):
        return _invoke(endpoint, instances, parameters, deployed_id)
    prediction = endpoint.predict(
        instances=[dict(instance) for instance in instances],
        parameters=dict(parameters) if parameters else None,
        timeout=limits.PREDICTION.seconds,
    )
    return prediction.deployed_model_id, [_with_whole_numbers(p) for p in prediction.predictions]


def _invoke(
    endpoint: aiplatform.Endpoint,
    instances: Sequence[Mapping[str, Any]],
    parameters: Mapping[str, Any] | None,
    deployed_id: str,
) -> tuple[str, list[Any]]:
    from google.api_core.exceptions import from_http_status

    body = {"instances": list(instances), **({"parameters": parameters} if parameters else {})}
    answer: Any = endpoint.invoke(
        PREDICT_ROUTE,
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
        deployed_model_id=deployed_id or None,
        timeout=limits.PREDICTION.seconds,
    )
    if not answer.ok:
        # Of the model server, or of Vertex AI in front of it.
        raise from_http_status(answer.status_code, answer.text[:_LONGEST_REASON])
    who = answer.headers.get("X-Vertex-AI-Deployed-Model-Id", deployed_id)
    return who, list(answer.json()["predictions"])


def check_answers(instances: Sequence[Mapping[str, Any]], predictions: Sequence[Any]) -> None:
    """Refuses answers of a new deployment that leave a question without a text.

    Raises:
        DeploymentError: They do.
    """
    texts = [answer.get("text") if isinstance(answer, dict) else answer for answer in predictions]
    if len(predictions) != len(instances) or not all(
        isinstance(text, str) and text.strip() for text in texts
    ):
        raise DeploymentError(
            f"the new deployment failed its smoke test: {len(instances)} questions were answered "
            f"with {list(predictions)!r:.300}."
        )


def _with_whole_numbers(value: Any) -> Any:
    """Returns a prediction with counts as integers again; the wire format turns them to doubles."""
    if isinstance(value, dict):
        return {key: _with_whole_numbers(item) for key, item in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value
