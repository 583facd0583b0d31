"""Endpoints: look up by name, create if missing, predict."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from doctune import limits
from doctune.errors import DeploymentError
from doctune.vertex.errors import google_errors
from doctune.vertex.labels import INVOKED, MANAGED_BY, filter_by_name, is_invoked
from doctune.vertex.registry import preferred_resource
from doctune.vertex.smoke_test import predict

if TYPE_CHECKING:
    from google.cloud import aiplatform

logger = logging.getLogger("doctune.vertex")


def ask(
    endpoint: str,
    instances: Sequence[Mapping[str, Any]],
    parameters: Mapping[str, Any] | None = None,
    *,
    retry_seconds: float = 0.0,
) -> list[dict[str, Any]]:
    """Returns an endpoint's predictions, one an instance.

    Args:
        endpoint: Display name or resource name.
        retry_seconds: How long to retry while the endpoint is unavailable (503), as it
            is while its server starts.

    Raises:
        DeploymentError: There is no such endpoint, or it does not answer; the message says why.
    """
    from google.api_core.exceptions import RetryError, ServiceUnavailable
    from google.api_core.retry import Retry, if_exception_type

    with google_errors(f"get an answer from {endpoint}", DeploymentError):
        found = find(endpoint)
        retried = Retry(if_exception_type(ServiceUnavailable), 0.5, 5.0, timeout=retry_seconds)
        try:
            _, predictions = retried(predict)(found, instances, parameters)
        except RetryError as error:
            # The endpoint's own error is more useful than "timed out while retrying".
            raise error.cause from error
    return predictions


def find_endpoint(endpoint: str) -> str:
    """Returns the resource name of the endpoint of a display name.

    Raises:
        DeploymentError: There is no such endpoint.
    """
    with google_errors(f"find the endpoint {endpoint}", DeploymentError):
        return endpoint_name(endpoint)


def endpoint_name(endpoint: str) -> str:
    """Returns an endpoint's resource name, given its display name or its resource name."""
    return endpoint if endpoint.startswith("projects/") else str(find(endpoint).resource_name)


def find(endpoint: str) -> aiplatform.Endpoint:
    """Returns the endpoint of a display name or resource name.

    Raises:
        DeploymentError: There is no endpoint of that display name.
    """
    from google.cloud import aiplatform

    if endpoint.startswith("projects/"):
        return aiplatform.Endpoint(endpoint)
    found = aiplatform.Endpoint.list(filter=filter_by_name(endpoint))
    if not found:
        raise DeploymentError(f"there is no endpoint called {endpoint}: deploy a model first.")
    return preferred_resource(found)


def get_or_create(
    name: str, *, dedicated: bool = False, invoked: bool = False
) -> tuple[aiplatform.Endpoint, bool]:
    """Returns the endpoint of a display name, and whether this call has created it.

    Args:
        dedicated: A new one gets a host of its own, which takes larger bodies for longer.
        invoked: Its models are reached by invoke routes, which only a dedicated one has.

    Raises:
        DeploymentError: There is one whose models are reached otherwise.
    """
    from google.api_core.exceptions import Conflict
    from google.cloud import aiplatform

    found = aiplatform.Endpoint.list(filter=filter_by_name(name))
    if len(found) > 1:
        logger.warning("%d endpoints are called %s; using doctune's oldest", len(found), name)
    if found:
        there = preferred_resource(found)
        if is_invoked(there.labels) != invoked:
            has, wants = ("without", "with") if invoked else ("with", "without")
            raise DeploymentError(
                f"the endpoint {name} was created {has} invoke routes, and the version was "
                f"registered {wants} them: set endpoint.routes as it was, or give endpoint.name "
                "another name."
            )
        return there, False
    # The id is derived from the name: of two concurrent runs, one creates the endpoint and the
    # other finds it. Vertex AI takes at most ten digits.
    number = int(hashlib.sha256(f"doctune {name}".encode()).hexdigest(), 16)
    endpoint_id = str(10**9 + number % (9 * 10**9))
    create = partial(
        aiplatform.Endpoint.create,
        display_name=name,
        labels={**MANAGED_BY, **(INVOKED if invoked else {})},
        dedicated_endpoint_enabled=dedicated or invoked,
        endpoint_id=endpoint_id,
    )
    try:
        return limits.call_within(limits.OPERATION, f"the endpoint {name}", create), True
    except Conflict:
        return aiplatform.Endpoint(endpoint_id), False


def same_version(one: str, other: str) -> bool:
    """Returns whether two resource names are of the same model version."""
    # Vertex AI writes the project's number in some answers and its id in others.
    return one.split("/")[2:] == other.split("/")[2:]
