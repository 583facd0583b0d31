"""Deployments that never take away what works: a small share, a smoke test, then all traffic.

A failed smoke test, or anything else that goes wrong on the way, puts the traffic back to exactly
what it was, and removes what was deployed.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from doctune.errors import DeploymentError
from doctune.progress import progress
from doctune.vertex.errors import explain, google_error_types, google_errors
from doctune.vertex.labels import MANAGED_BY, filter_by_name
from doctune.vertex.registry import (
    CANDIDATE,
    CHAMPION,
    DEFAULT,
    PREVIOUS,
    get_version,
    list_versions,
    oldest_of_ours,
    set_aliases,
    version_name,
)
from doctune.vertex.session import resource_url
from doctune.vertex.smoke_test import predict, smoke_test

if TYPE_CHECKING:
    from google.cloud import aiplatform

logger = logging.getLogger("doctune.vertex")


@dataclass(frozen=True)
class Deployment:
    """A version that serves all of an endpoint's traffic."""

    endpoint: str  # resource name
    deployed_model_id: str
    model_version: str  # projects/.../models/M@3
    answers: tuple[dict[str, Any], ...]  # to the smoke test's instances
    artifact_uri: str  # the https URI that google.VertexEndpoint artifacts carry
    created: bool  # False where the version was deployed already


def deploy_model(
    model_version: str,
    *,
    endpoint_name: str,
    smoke_instances: Sequence[Mapping[str, Any]],
    machine_type: str = "n1-standard-4",
    min_replica_count: int = 1,
    max_replica_count: int = 1,
    accelerator_type: str = "",
    accelerator_count: int = 0,
    traffic_percentage: int = 10,
    smoke_parameters: Mapping[str, Any] | None = None,
    service_account: str = "",
) -> Deployment:
    """Deploys a version, tests it, gives it all traffic and makes it the champion.

    The version that had the most traffic stays deployed with none, for `rollback`; older ones are
    undeployed. A version that is deployed already is tested and given the traffic.

    Args:
        model_version: projects/.../models/M@VERSION.
        endpoint_name: Display name; the endpoint is created where there is none.
        smoke_instances: What the new deployment must answer, each with a text.
        traffic_percentage: Share of the traffic during the test, 1 to 100; 100 for the first model.
        smoke_parameters: As `parameters` of a prediction.
        service_account: What the server runs as; Vertex AI's own where empty.

    Raises:
        DeploymentError: It cannot be deployed or fails the test; the traffic is as it was, and
            what this call has deployed or created is removed.
    """
    if not 1 <= traffic_percentage <= 100:
        raise DeploymentError(f"traffic_percentage must be 1 to 100; it is {traffic_percentage}.")
    if not smoke_instances:
        raise DeploymentError(
            "give at least one smoke instance: an untested model is not deployed."
        )
    machine = {
        "machine_type": machine_type,
        "min_replica_count": min_replica_count,
        "max_replica_count": max_replica_count,
        "accelerator_type": accelerator_type or None,
        "accelerator_count": accelerator_count or None,
        "service_account": service_account or None,
    }
    with google_errors(f"deploy {model_version} to {endpoint_name}", DeploymentError):
        version = version_name(get_version(model_version))
        endpoint, endpoint_is_new = _get_or_create_endpoint(endpoint_name)
        before = dict(endpoint.traffic_split)
        known = _deployed_id(endpoint, version)
        with _back_to(endpoint, before, version, known, endpoint_is_new):
            if known is None:
                _deploy(endpoint, version, _first_shares(before, "0", traffic_percentage), machine)
            else:
                _warn_of_other_machine(endpoint, known, machine)
                _raise_share(endpoint, known, traffic_percentage)
            deployed_id = known or _deployed_id(endpoint, version) or ""
            answers = smoke_test(endpoint, deployed_id, smoke_instances, smoke_parameters)
            if endpoint.traffic_split.get(deployed_id) != 100:
                endpoint.update(traffic_split={deployed_id: 100})
        _promote(version)
        _undeploy_older(endpoint, deployed_id, before)
    return Deployment(
        endpoint=endpoint.resource_name,
        deployed_model_id=deployed_id,
        model_version=version,
        answers=tuple(answers),
        artifact_uri=resource_url(endpoint.resource_name),
        created=known is None,
    )


def rollback(endpoint: str) -> Deployment:
    """Gives all traffic back to the version that was released before.

    Args:
        endpoint: Display name or resource name.

    Raises:
        DeploymentError: No earlier version is deployed.
    """
    with google_errors(f"roll back {endpoint}", DeploymentError):
        found = _find_endpoint(endpoint)
        deployed = {model.id: _version_of(model) for model in found.list_models()}
        shares = dict(found.traffic_split)
        current = max(shares, key=lambda key: shares[key], default="")
        if current not in deployed:
            raise DeploymentError(f"{endpoint} serves no model: there is nothing to roll back.")
        parent = deployed[current].split("@")[0]
        aliases = {version_name(v): set(v.version_aliases) for v in list_versions(parent)}
        earlier = [
            (key, version)
            for key, version in deployed.items()
            if key != current and PREVIOUS in aliases.get(version, set())
        ]
        if not earlier:
            raise DeploymentError(
                f"{endpoint} has no earlier version deployed: deploy one with deploy_model."
            )
        deployed_id, version = earlier[0]
        found.update(traffic_split={deployed_id: 100})
        _promote(version)
    return Deployment(
        endpoint=found.resource_name,
        deployed_model_id=deployed_id,
        model_version=version,
        answers=(),
        artifact_uri=resource_url(found.resource_name),
        created=False,
    )


def ask(
    endpoint: str,
    instances: Sequence[Mapping[str, Any]],
    parameters: Mapping[str, Any] | None = None,
    *,
    patience_seconds: float = 0.0,
) -> list[dict[str, Any]]:
    """Returns an endpoint's predictions, one an instance.

    Args:
        endpoint: Display name or resource name.
        patience_seconds: How long to go on asking while the endpoint is unavailable (503), as it
            is while its server starts.

    Raises:
        DeploymentError: There is no such endpoint, or it does not answer; the message says why.
    """
    from google.api_core.exceptions import RetryError, ServiceUnavailable
    from google.api_core.retry import Retry, if_exception_type

    with google_errors(f"get an answer from {endpoint}", DeploymentError):
        found = _find_endpoint(endpoint)
        patient = Retry(if_exception_type(ServiceUnavailable), 0.5, 5.0, timeout=patience_seconds)
        try:
            _, predictions = patient(predict)(found, instances, parameters)
        except RetryError as error:
            # What the endpoint said tells more than that it said so for long.
            raise error.cause from error
    return predictions


def find_endpoint(endpoint: str) -> str:
    """Returns the resource name of the endpoint of a display name.

    Raises:
        DeploymentError: There is no such endpoint.
    """
    with google_errors(f"find the endpoint {endpoint}", DeploymentError):
        return str(_find_endpoint(endpoint).resource_name)


def _find_endpoint(endpoint: str) -> aiplatform.Endpoint:
    from google.cloud import aiplatform

    if endpoint.startswith("projects/"):
        return aiplatform.Endpoint(endpoint)
    found = aiplatform.Endpoint.list(filter=filter_by_name(endpoint))
    if not found:
        raise DeploymentError(f"there is no endpoint called {endpoint}: deploy a model first.")
    return oldest_of_ours(found)


def _get_or_create_endpoint(name: str) -> tuple[aiplatform.Endpoint, bool]:
    """Returns the endpoint of a display name, and whether this call has created it."""
    from google.api_core.exceptions import Conflict
    from google.cloud import aiplatform

    found = aiplatform.Endpoint.list(filter=filter_by_name(name))
    if len(found) > 1:
        logger.warning("%d endpoints are called %s; the oldest of ours counts", len(found), name)
    if found:
        return oldest_of_ours(found), False
    # An id made from the name: of two runs at once, one creates the endpoint, the other finds it.
    # Vertex AI wants ten digits at most.
    number = int(hashlib.sha256(f"doctune {name}".encode()).hexdigest(), 16)
    endpoint_id = str(10**9 + number % (9 * 10**9))
    try:
        return (
            aiplatform.Endpoint.create(
                display_name=name, labels=dict(MANAGED_BY), endpoint_id=endpoint_id
            ),
            True,
        )
    except Conflict:
        return aiplatform.Endpoint(endpoint_id), False


def _version_of(deployed_model: Any) -> str:
    """Returns the full version name of a deployed model."""
    return f"{deployed_model.model.split('@')[0]}@{deployed_model.model_version_id}"


def _same_version(one: str, other: str) -> bool:
    # Vertex AI writes the project's number in some answers and its id in others.
    return one.split("/")[2:] == other.split("/")[2:]


def _deployed_id(endpoint: aiplatform.Endpoint, version: str) -> str | None:
    """Returns the id under which a version is deployed; of several, that with most traffic."""
    shares = dict(endpoint.traffic_split)
    ids = [m.id for m in endpoint.list_models() if _same_version(_version_of(m), version)]
    return max(ids, key=lambda key: shares.get(key, 0), default=None)


def _first_shares(before: Mapping[str, int], key: str, percentage: int) -> dict[str, int]:
    """Returns the split that gives `key` its first share and the others the rest in proportion."""
    others = {other: share for other, share in before.items() if share and other != key}
    total = sum(others.values())
    if not total:
        return {key: 100}
    split = {other: share * (100 - percentage) // total for other, share in sorted(others.items())}
    # What rounding down leaves over goes to the largest.
    largest = max(others, key=lambda other: others[other])
    split[largest] += 100 - percentage - sum(split.values())
    return {**split, key: percentage}


def _deploy(
    endpoint: aiplatform.Endpoint,
    version: str,
    split: dict[str, int],
    machine: Mapping[str, Any],
) -> None:
    from google.cloud import aiplatform

    with progress(f"Deploying {version.split('/')[-1]} to {endpoint.display_name}"):
        endpoint.deploy(
            aiplatform.Model(version),
            deployed_model_display_name=version.split("/")[-1],
            traffic_split=split,
            **machine,
        )


def _raise_share(endpoint: aiplatform.Endpoint, deployed_id: str, percentage: int) -> None:
    before = dict(endpoint.traffic_split)
    if before.get(deployed_id, 0) < percentage:
        endpoint.update(traffic_split=_first_shares(before, deployed_id, percentage))


def _warn_of_other_machine(
    endpoint: aiplatform.Endpoint, deployed_id: str, machine: Mapping[str, Any]
) -> None:
    (deployed,) = [m for m in endpoint.list_models() if m.id == deployed_id]
    resources = deployed.dedicated_resources
    has = resources.machine_spec.machine_type, resources.min_replica_count
    if has != (machine["machine_type"], machine["min_replica_count"]):
        logger.warning(
            "The version is deployed already, on %s with %d replicas at least, and stays so: "
            "undeploy it first to change that",
            *has,
        )


@contextlib.contextmanager
def _back_to(
    endpoint: aiplatform.Endpoint,
    before: dict[str, int],
    version: str,
    known: str | None,
    endpoint_is_new: bool,
) -> Iterator[None]:
    """Undoes what the block did, if it fails: traffic first, then what it deployed and created."""
    try:
        yield
    except BaseException as error:
        logger.warning("The deployment failed: the traffic goes back to what it was")
        try:
            _restore(endpoint, before, version, known)
            if endpoint_is_new:
                endpoint.delete()
        except google_error_types() as second:
            logger.error(
                "What the failed deployment left on %s could not be cleared away: %s Look at it "
                "in the console.",
                endpoint.resource_name,
                explain(second),
            )
        if isinstance(error, google_error_types()):
            raise DeploymentError(
                f"{version} could not be deployed to {endpoint.display_name}, whose traffic is as "
                f"before: {explain(error)}"
            ) from error
        raise


def _restore(
    endpoint: aiplatform.Endpoint, before: dict[str, int], version: str, known: str | None
) -> None:
    from google.cloud import aiplatform

    fresh = aiplatform.Endpoint(endpoint.resource_name)
    if before and dict(fresh.traffic_split) != before:
        fresh.update(traffic_split=before)
    if known is None:
        for deployed in fresh.list_models():
            if _same_version(_version_of(deployed), version):
                fresh.undeploy(deployed.id)


def _promote(version: str) -> None:
    """Makes a version the champion and the former champion the previous one."""
    parent = version.split("@")[0]
    holders = {alias: v for v in list_versions(parent) for alias in v.version_aliases}
    former = holders.get(CHAMPION)
    if former is not None and version_name(former) == version:
        return
    if former is not None:
        set_aliases(version_name(former), add=[PREVIOUS])
    # The former champion has taken `previous` over, if this version had it.
    left_over = {CANDIDATE} if former is not None else {CANDIDATE, PREVIOUS}
    has = {alias for alias, v in holders.items() if version_name(v) == version}
    set_aliases(version, add=[CHAMPION, DEFAULT], remove=sorted(has & left_over))


def _undeploy_older(
    endpoint: aiplatform.Endpoint, deployed_id: str, before: Mapping[str, int]
) -> None:
    """Keeps the version that was released before, for rollback, and removes the others."""
    others = {m.id: _version_of(m) for m in endpoint.list_models() if m.id != deployed_id}
    if not others:
        return
    parents = {version.split("@")[0] for version in others.values()}
    previous = [
        version_name(version)
        for parent in parents
        for version in list_versions(parent)
        if PREVIOUS in version.version_aliases
    ]

    def worth_keeping(key: str) -> tuple[bool, int]:
        return any(_same_version(others[key], name) for name in previous), before.get(key, 0)

    keep = max(others, key=worth_keeping)
    for key in others:
        if key != keep:
            endpoint.undeploy(key)
