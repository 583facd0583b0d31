"""How a version that passed the gate reaches its users: at once, or in watched steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from doctune.configuration.settings import Rollout
from doctune.errors import UsageError

if TYPE_CHECKING:
    from doctune.vertex import Canary, Deployment, ServingMachine

_SMOKE_PARAMETERS = {"max_new_tokens": 16}


@dataclass(frozen=True, kw_only=True)
class Release:
    """What is released where.

    Attributes:
        model_version: projects/.../models/M@VERSION.
        endpoint_name: Display name; the endpoint is created where there is none.
        judged_against: Artifact URI of the champion that the model was compared with.
        owner: Name of the pipeline run: a retry resumes its own release.
        smoke_prompt: A prompt that the new deployment must answer.
        traffic_percentage: Share of the traffic during the test of a direct release.
    """

    model_version: str
    endpoint_name: str
    judged_against: str
    owner: str
    smoke_prompt: str
    machine: ServingMachine
    canary: Canary
    traffic_percentage: int


def roll_out(release: Release, rollout: str) -> Deployment:
    """Releases a version in one of the ways of `Rollout`.

    Raises:
        UsageError: There is no such way.
        DeploymentError: The release failed; the endpoint's previous state is restored.
    """
    from doctune.vertex import deploy_model

    if rollout not in get_args(Rollout):
        raise UsageError(f"rollout is {', '.join(get_args(Rollout))}; not {rollout!r}.")
    return deploy_model(
        release.model_version,
        endpoint_name=release.endpoint_name,
        machine=release.machine,
        traffic_percentage=release.traffic_percentage,
        canary=release.canary if rollout == "canary" else None,
        smoke_instances=[{"prompt": release.smoke_prompt}],
        smoke_parameters=_SMOKE_PARAMETERS,
        judged_against=release.judged_against,
        owner=release.owner,
    )
