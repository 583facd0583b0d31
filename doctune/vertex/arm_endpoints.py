"""Endpoints that serve one version each, made and removed as a whole: the arms of experiments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from doctune.errors import DeploymentError
from doctune.vertex.endpoints import get_or_create
from doctune.vertex.errors import google_errors
from doctune.vertex.labels import MANAGED_BY, filter_by_name
from doctune.vertex.registry import get_version
from doctune.vertex.smoke_test import smoke_test
from doctune.vertex.variants import (
    ServingMachine,
    add_variant,
    find_variant,
    list_variants,
    set_traffic,
    wait_for_deployments,
)


def serve_alone(
    endpoint: str,
    model_version: str,
    machine: ServingMachine,
    smoke_instances: Sequence[Mapping[str, Any]],
    smoke_parameters: Mapping[str, Any] | None = None,
) -> None:
    """Deploys a version to an endpoint of its own, with all traffic, and tests it.

    What is deployed already is left as it is.

    Args:
        endpoint: Display name; the endpoint is created where there is none.
        model_version: projects/.../models/M@VERSION.
        smoke_instances: Instances that it must answer with text.
        smoke_parameters: The `parameters` of their predictions.

    Raises:
        DeploymentError: The version does not become healthy, or does not answer.
    """
    with google_errors(f"create the endpoint {endpoint}", DeploymentError):
        invoked = bool(get_version(model_version).container_spec.invoke_route_prefix)
        name = get_or_create(endpoint, invoked=invoked)[0].resource_name
        # One that was killed may have begun.
        wait_for_deployments(name)
    variant = find_variant(list_variants(name), model_version)
    if variant is None:
        variant = add_variant(name, model_version, machine)
    if variant.share != 100:
        set_traffic(name, {variant.deployed_model_id: 100})
    with google_errors(f"test {model_version}", DeploymentError):
        smoke_test(name, variant.deployed_model_id, smoke_instances, smoke_parameters)


def remove_endpoint(endpoint: str) -> None:
    """Removes an endpoint of ours with all that is deployed there; none is no error.

    Args:
        endpoint: Display name.

    Raises:
        DeploymentError: It cannot be removed.
    """
    from google.api_core.exceptions import NotFound
    from google.cloud import aiplatform

    with google_errors(f"remove the endpoint {endpoint}", DeploymentError):
        for found in aiplatform.Endpoint.list(filter=filter_by_name(endpoint)):
            if not MANAGED_BY.items() <= dict(found.labels).items():
                continue
            try:
                wait_for_deployments(found.resource_name)
                found.undeploy_all(sync=True)
                found.delete(sync=True)
            except NotFound:
                continue
