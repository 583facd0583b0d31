"""The variants of an endpoint, and the traffic split between them.

A variant is a model version that is deployed to an endpoint. The split is written as a whole, by
compare-and-set with the etag of the endpoint that was read, so a concurrent change is never
overwritten unseen. While a release, a rollback or an experiment holds the lock of the endpoint
(`doctune.vertex.locks`), all others are refused.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from doctune.errors import DeploymentError
from doctune.progress import progress
from doctune.vertex.endpoints import endpoint_name, same_version
from doctune.vertex.errors import google_errors
from doctune.vertex.locks import EndpointLock, change_endpoint, refuse_locked
from doctune.vertex.session import endpoint_client

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1.types import DeployedModel
    from google.cloud.aiplatform_v1.types import Endpoint as EndpointMessage

# Downloading and loading a large model onto a GPU takes half an hour.
DEPLOY_SECONDS = 2700.0
UNDEPLOY_SECONDS = 900.0

logger = logging.getLogger("doctune.vertex")


@dataclass(frozen=True)
class ServingMachine:
    """The machine that a variant runs on."""

    machine_type: str = "n1-standard-4"
    min_replica_count: int = 1
    max_replica_count: int = 1
    accelerator_type: str = ""
    accelerator_count: int = 0
    service_account: str = ""  # of the server; Vertex AI's default where empty
    # Percent of CPU, and of a GPU's time, at which there are more replicas; 0: Vertex AI's default.
    autoscaling_target: int = 0


@dataclass(frozen=True)
class Variant:
    """A model version that is deployed to an endpoint."""

    deployed_model_id: str
    model_version: str  # projects/.../models/M@3
    share: int  # of the endpoint's traffic, 0 to 100
    display_name: str
    machine: ServingMachine = field(default_factory=ServingMachine)
    deployed_at: datetime | None = field(default=None, compare=False)


def list_variants(endpoint: str) -> tuple[Variant, ...]:
    """Returns the variants of an endpoint, sorted by id; the shares add up to 100, or to 0.

    Args:
        endpoint: Display name or resource name.

    Raises:
        DeploymentError: There is no such endpoint.
    """
    with google_errors(f"list the variants of {endpoint}", DeploymentError):
        return variants_of(endpoint_client().get_endpoint(name=endpoint_name(endpoint)))


def set_traffic(
    endpoint: str, split: Mapping[str, int], *, lock: EndpointLock | None = None
) -> None:
    """Sets an endpoint's traffic split in one update.

    Args:
        endpoint: Display name or resource name.
        split: Share of each deployed model by id, 100 in total; one that is not named gets none.
        lock: The lock on the endpoint, if the caller holds it.

    Raises:
        DeploymentError: The shares do not add up to 100 or name a model that is not deployed, or
            somebody else has locked the endpoint; nothing has changed.
    """
    _check_sum(split)
    with google_errors(f"set the traffic split of {endpoint}", DeploymentError):

        def change(now: EndpointMessage) -> None:
            _check_known(now, split)
            _write_split(now, split)

        _change(endpoint_name(endpoint), change, lock)


def add_variant(
    endpoint: str,
    model_version: str,
    machine: ServingMachine | None = None,
    *,
    deployed_model_id: str = "",
    lock: EndpointLock | None = None,
) -> Variant:
    """Deploys a version beside the others, without traffic, and waits until it is healthy.

    Args:
        endpoint: Display name or resource name.
        model_version: projects/.../models/M@VERSION.
        machine: The machine to deploy on; the smallest where None.
        deployed_model_id: One to ten digits; random where empty.
        lock: The lock on the endpoint, if the caller holds it.

    Raises:
        DeploymentError: It does not become healthy, or somebody else has locked the endpoint.
    """
    with google_errors(f"deploy {model_version} to {endpoint}", DeploymentError):
        return deploy_variant(
            endpoint_name(endpoint),
            model_version,
            machine or ServingMachine(),
            deployed_model_id or new_variant_id(),
            lock,
        )


def deploy_variant(
    endpoint: str,
    model_version: str,
    machine: ServingMachine,
    deployed_model_id: str,
    lock: EndpointLock | None,
) -> Variant:
    """As `add_variant`, but Google's errors are not converted."""
    from google.cloud.aiplatform_v1.types import DeployedModel

    _check_lock(endpoint, lock)
    short = model_version.split("/")[-1]
    deployed = DeployedModel(
        id=deployed_model_id,
        model=model_version,
        display_name=short,
        service_account=machine.service_account,
        dedicated_resources=_resources(machine),
    )
    with progress(f"Deploying {short} to endpoint {endpoint.split('/')[-1]}"):
        # Without a split in the request, the traffic is not changed.
        operation = endpoint_client().deploy_model(endpoint=endpoint, deployed_model=deployed)
        done = operation.result(timeout=DEPLOY_SECONDS).deployed_model
    return _variant(done, {})


def remove_variant(
    endpoint: str, deployed_model_id: str, *, lock: EndpointLock | None = None
) -> None:
    """Undeploys a variant that has no traffic; does nothing where it is gone already.

    Raises:
        DeploymentError: It has traffic, or somebody else has locked the endpoint.
    """
    from google.api_core.exceptions import NotFound

    with google_errors(f"undeploy {deployed_model_id} from {endpoint}", DeploymentError):
        name = endpoint_name(endpoint)
        _check_lock(name, lock)
        there = variants_of(endpoint_client().get_endpoint(name=name))
        variant = next((v for v in there if v.deployed_model_id == deployed_model_id), None)
        if variant is None:
            return
        # Vertex AI allows undeploying the last one although it has the traffic.
        if variant.share:
            raise DeploymentError(
                f"{deployed_model_id} on {endpoint} has {variant.share} % of the traffic: give it "
                "to the others with set_traffic first."
            )
        try:
            operation = endpoint_client().undeploy_model(
                endpoint=name, deployed_model_id=deployed_model_id
            )
            operation.result(timeout=UNDEPLOY_SECONDS)
        except NotFound:
            return


def wait_for_deployments(endpoint: str) -> None:
    """Waits for all deployments in progress on an endpoint, including those of dead processes.

    Args:
        endpoint: Resource name.

    Raises:
        DeploymentError: It takes too long.
    """
    deadline = time.monotonic() + DEPLOY_SECONDS
    pause = 0.2
    while True:
        found = endpoint_client().list_operations(request={"name": endpoint}).operations
        if not any(_is_deployment(operation) for operation in found if not operation.done):
            return
        if time.monotonic() > deadline:
            raise DeploymentError(
                f"{endpoint} is still deploying a model after {DEPLOY_SECONDS:.0f} s: check it "
                "in the console, then run this again."
            )
        time.sleep(pause)
        pause = min(2 * pause, 10.0)


def variants_of(endpoint: EndpointMessage) -> tuple[Variant, ...]:
    """Returns the variants in an endpoint's message."""
    shares = dict(endpoint.traffic_split)
    found = [_variant(deployed, shares) for deployed in endpoint.deployed_models]
    return tuple(sorted(found, key=lambda variant: variant.deployed_model_id))


def find_variant(variants: tuple[Variant, ...], model_version: str) -> Variant | None:
    """Returns the variant of a version; of several, the one with the most traffic."""
    found = [v for v in variants if same_version(v.model_version, model_version)]
    return max(found, key=lambda variant: variant.share, default=None)


def split_with_share(before: Mapping[str, int], key: str, percentage: int) -> dict[str, int]:
    """Returns a split with `percentage` for `key` and the rest for the others, in proportion."""
    others = {other: share for other, share in before.items() if share and other != key}
    total = sum(others.values())
    if not total:
        return {key: 100}
    split = {other: share * (100 - percentage) // total for other, share in sorted(others.items())}
    # The remainder of rounding down goes to the largest.
    largest = max(others, key=lambda other: others[other])
    split[largest] += 100 - percentage - sum(split.values())
    return {**split, key: percentage}


def new_variant_id() -> str:
    """Returns a random id for a deployed model: ten digits, the most that Vertex AI allows."""
    return str(10**9 + secrets.randbelow(9 * 10**9))


def _is_deployment(operation: Any) -> bool:
    return str(operation.metadata.type_url).endswith(".DeployModelOperationMetadata")


def _change(name: str, change: Any, lock: EndpointLock | None) -> None:
    if lock is not None:
        lock.change(change)
        return

    def unless_locked(now: EndpointMessage) -> None:
        refuse_locked(now)
        change(now)

    change_endpoint(name, unless_locked)


def _check_lock(name: str, lock: EndpointLock | None) -> None:
    if lock is not None:
        lock.check()
    else:
        refuse_locked(endpoint_client().get_endpoint(name=name))


def _check_sum(split: Mapping[str, int]) -> None:
    total = sum(split.values())
    if total != 100 or min(split.values()) < 0:
        raise DeploymentError(
            f"traffic shares must be 0 to 100 and add up to 100; they are {dict(split)}."
        )


def _check_known(now: EndpointMessage, split: Mapping[str, int]) -> None:
    known = {deployed.id for deployed in now.deployed_models}
    if unknown := sorted(set(split) - known):
        raise DeploymentError(
            f"{now.display_name} has no deployed model {unknown[0]}: deployed are "
            f"{', '.join(sorted(known)) or 'none'}."
        )


def _write_split(now: EndpointMessage, split: Mapping[str, int]) -> None:
    now.traffic_split = {deployed.id: split.get(deployed.id, 0) for deployed in now.deployed_models}


def _variant(deployed: DeployedModel, shares: Mapping[str, int]) -> Variant:
    resources = deployed.dedicated_resources
    spec = resources.machine_spec
    return Variant(
        deployed_model_id=deployed.id,
        model_version=f"{deployed.model.split('@')[0]}@{deployed.model_version_id}",
        share=shares.get(deployed.id, 0),
        display_name=deployed.display_name,
        deployed_at=deployed.create_time,
        machine=ServingMachine(
            machine_type=spec.machine_type,
            min_replica_count=resources.min_replica_count,
            max_replica_count=resources.max_replica_count,
            accelerator_type=spec.accelerator_type.name if spec.accelerator_type else "",
            accelerator_count=spec.accelerator_count,
            service_account=deployed.service_account,
            autoscaling_target=next((m.target for m in resources.autoscaling_metric_specs), 0),
        ),
    )


def _resources(machine: ServingMachine) -> Any:
    from google.cloud.aiplatform_v1.types import (
        AcceleratorType,
        AutoscalingMetricSpec,
        DedicatedResources,
        MachineSpec,
    )

    spec = MachineSpec(machine_type=machine.machine_type)
    if machine.accelerator_type:
        if machine.accelerator_type not in AcceleratorType.__members__:
            raise DeploymentError(
                f"{machine.accelerator_type} is not an accelerator of Vertex AI: write its name in "
                "the form NVIDIA_L4."
            )
        spec.accelerator_type = getattr(AcceleratorType, machine.accelerator_type)
        spec.accelerator_count = machine.accelerator_count or 1
    return DedicatedResources(
        machine_spec=spec,
        min_replica_count=machine.min_replica_count,
        max_replica_count=max(machine.max_replica_count, machine.min_replica_count),
        autoscaling_metric_specs=[
            AutoscalingMetricSpec(metric_name=metric, target=machine.autoscaling_target)
            for metric in _scaled_on(machine)
        ],
    )


def _scaled_on(machine: ServingMachine) -> list[str]:
    if not machine.autoscaling_target:
        return []
    # A GPU is busy while the CPUs beside it are not.
    busy = "accelerator/duty_cycle" if machine.accelerator_type else "cpu/utilization"
    return [f"aiplatform.googleapis.com/prediction/online/{busy}"]
