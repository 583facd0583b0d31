"""Creates experiments: checks what a user asks for, and writes the plan to the database."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from doctune.database.engine import Engine
from doctune.database.experiments import ENDED, add_experiment, list_experiments
from doctune.database.leases import HeldError, leased
from doctune.errors import UsageError
from doctune.experiments.assignment import BUCKETS, free_slot
from doctune.experiments.options import ExperimentOptions
from doctune.experiments.plan import CONTROL, TREATMENT, ArmPlan, Plan, check_plan
from doctune.validation import first_problem
from doctune.vertex.serving_state import VERTEX, EndpointAddress

_LAYER_SECONDS = 10.0  # how long one creation may hold a layer, and another one waits for it

_UPSTREAMS = ("http://", "https://", VERTEX)
SAME = "same"  # the control's version, with other settings


@dataclass(frozen=True)
class ArmChoice:
    """A treatment as a user names it."""

    name: str
    version: str  # number, alias, full name, `SAME`, or an upstream as `EndpointAddress`, https://
    parameters: Mapping[str, Any] = field(default_factory=dict)
    system_prompt: str | None = None


@dataclass(frozen=True, kw_only=True)
class Request:
    """The experiment that a user requests."""

    name: str
    model: str  # as clients name it
    endpoint: str  # whose champion a win replaces
    treatments: tuple[ArmChoice, ...]
    metric: str
    registered: str = ""  # name in the Model Registry; not needed where versions are full names
    guardrails: tuple[str, ...] = ()
    control: str = "champion"
    ramp: tuple[float, ...] = (1, 5, 25, 50)
    layer: str = ""
    layer_share: float = 100.0
    forced: Mapping[str, str] = field(default_factory=dict)
    shadow: bool = False
    smoke_prompt: str = "What is this?"
    machine: Mapping[str, str | int] = field(default_factory=dict)


def create_experiment(engine: Engine, options: ExperimentOptions, request: Request) -> Plan:
    """Adds an experiment, whose arms are not deployed yet, and returns its plan.

    Raises:
        UsageError: The request is invalid.
        DeploymentError: There is no such version, or the control is not deployed.
    """
    layer, arms = request.layer or request.model, _arms(request)

    def plan_in(slot: tuple[int, int]) -> Plan:
        return Plan(
            name=request.name,
            model=request.model,
            endpoint=request.endpoint,
            arms=arms,
            metric=request.metric,
            guardrails=tuple(name for name in request.guardrails if name != request.metric),
            metrics=options.metrics,
            ramp=request.ramp,
            rules=options.rules,
            prices=options.prices,
            salt=secrets.token_hex(16),
            layer=layer,
            slot=slot,
            holdout=round(options.holdout * BUCKETS),
            forced=dict(request.forced),
            shadow=request.shadow,
            drain_seconds=options.drain_seconds,
            smoke_prompt=request.smoke_prompt,
            machine=dict(request.machine),
        )

    return add_to_layer(engine, layer, request.layer_share, plan_in)


def add_to_layer(
    engine: Engine, layer: str, share: float, plan_in: Callable[[tuple[int, int]], Plan]
) -> Plan:
    """Adds an experiment to a layer; concurrent additions wait for each other.

    Args:
        share: Percentage of the layer's users.
        plan_in: Makes the plan for a slot of the layer's buckets.

    Raises:
        UsageError: The layer has no free slot of this size, or the plan is invalid.
    """
    lease = f"layer:{hashlib.sha256(layer.encode()).hexdigest()[:32]}"
    try:
        with leased(engine, lease, _LAYER_SECONDS, wait_seconds=_LAYER_SECONDS):
            with _usage_errors():
                plan = plan_in(_slot(engine, layer, share))
            check_plan(plan)
            document = plan.model_dump(mode="json")
            add_experiment(engine, plan.name, plan.model, plan.layer, document, datetime.now(UTC))
    except HeldError as error:
        raise UsageError(
            f"another experiment is being added to the layer {layer}, for {_LAYER_SECONDS:g} s "
            "already: try again."
        ) from error
    return plan


def treatments_named(
    versions: Sequence[str], parameters: Mapping[str, Any], system_prompt: str | None
) -> tuple[ArmChoice, ...]:
    """Returns a treatment for each version; a single one is named `treatment`.

    Raises:
        UsageError: Parameters or a prompt are given for several treatments.
    """
    if len(versions) == 1:
        return (ArmChoice(TREATMENT, versions[0], parameters, system_prompt),)
    if parameters or system_prompt is not None:
        raise UsageError(
            "parameters and a system prompt apply to one treatment: give only one --treatment."
        )
    return tuple(
        ArmChoice(f"{TREATMENT}-{number}", version) for number, version in enumerate(versions, 1)
    )


def _arms(request: Request) -> tuple[ArmPlan, ...]:
    control = _version(request, request.control)
    _check_serves(request.endpoint, control)
    arms = [ArmPlan(name=CONTROL)]
    for choice in request.treatments:
        same, served = choice.version == SAME, choice.version.startswith(_UPSTREAMS)
        if choice.version.startswith(VERTEX):
            _check_address(choice.version)
        version = "" if same or served else _version(request, choice.version)
        changed = served or bool(choice.parameters) or choice.system_prompt is not None
        if not changed and (same or version == control):
            raise UsageError(
                f"{choice.name} is the same as the control: name another version, or give it "
                "parameters or a system prompt."
            )
        with _usage_errors():
            arm = ArmPlan(
                name=choice.name,
                model_version="" if version == control else version,
                upstream=choice.version if served else "",
                parameters=dict(choice.parameters),
                system_prompt=choice.system_prompt,
            )
        arms.append(arm)
    return tuple(arms)


@contextmanager
def _usage_errors() -> Iterator[None]:
    """Turns the validation errors of a plan or an arm into one line."""
    try:
        yield
    except ValidationError as error:
        raise UsageError(f"{first_problem(error)}.") from error


def _version(request: Request, named: str) -> str:
    """Returns the resource name of a version given by number, alias or resource name."""
    from doctune.errors import DeploymentError
    from doctune.vertex.errors import google_errors
    from doctune.vertex.registry import find_model, get_version, version_name

    full = named
    if not named.startswith("projects/"):
        parent = find_model(request.registered)
        if parent is None:
            raise DeploymentError(
                f"there is no model {request.registered} in the Model Registry: register one first."
            )
        full = f"{parent}@{named}"
    with google_errors(f"find the version {named} of {request.registered}", DeploymentError):
        return version_name(get_version(full))


def _check_serves(endpoint: str, version: str) -> None:
    """Refuses a control that is not the version that users get without the experiment."""
    from doctune.errors import DeploymentError
    from doctune.vertex import list_variants
    from doctune.vertex.endpoints import same_version

    serving = [variant for variant in list_variants(endpoint) if variant.share == 100]
    if not serving or not same_version(serving[0].model_version, version):
        has = serving[0].model_version.split("/")[-1] if serving else "several versions or none"
        raise DeploymentError(
            f"the control {version.split('/')[-1]} does not have all traffic of {endpoint}, "
            f"which serves {has}: deploy it first."
        )


def _check_address(text: str) -> None:
    """Refuses the address of an endpoint that cannot answer the gateway.

    Raises:
        UsageError: It is not an address of an endpoint.
        DeploymentError: Nothing is deployed there, or not the named deployed model.
    """
    from doctune.errors import DeploymentError
    from doctune.vertex import list_variants
    from doctune.vertex.errors import google_errors
    from doctune.vertex.registry import get_version

    try:
        address = EndpointAddress.parse(text)
    except ValueError as error:
        raise UsageError(f"{error}.") from error
    deployed = {one.deployed_model_id: one for one in list_variants(address.endpoint)}
    if not address.deployed_model_id:
        if not any(variant.share for variant in deployed.values()):
            raise DeploymentError(f"no deployed model of {address.endpoint} gets traffic.")
        return
    if address.deployed_model_id not in deployed:
        raise DeploymentError(
            f"{address.endpoint} has no deployed model {address.deployed_model_id}: it has "
            f"{', '.join(deployed) or 'none'}."
        )
    version = deployed[address.deployed_model_id].model_version
    with google_errors(f"find {version}", DeploymentError):
        container = get_version(version).container_spec
    if not container.invoke_route_prefix:
        raise DeploymentError(
            f"the deployed model {address.deployed_model_id} has no invoke route, since its model "
            'was uploaded without serving_container_invoke_route_prefix="/*".'
        )


def _slot(engine: Engine, layer: str, share: float) -> tuple[int, int]:
    taken = {
        state.name: tuple(state.plan["slot"])
        for state in list_experiments(engine)
        if state.layer == layer and state.state != ENDED
    }
    slot = free_slot(list(taken.values()), round(share * BUCKETS / 100))
    if slot is None:
        raise UsageError(
            f"the layer {layer} has no room for {share:g} % of the users beside "
            f"{', '.join(taken)}: end one of them, give both a smaller --layer-share, or use "
            "another --layer."
        )
    return slot
