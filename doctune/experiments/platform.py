"""Deploys an experiment's arms on Vertex AI, finds them again by name, and removes them at its end.

Each treatment with its own version gets its own endpoint, because clients cannot address a single
deployed model behind a traffic split.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Protocol

from doctune.experiments.plan import ArmPlan, Plan

# Vertex AI takes display names of 128 characters.
_PREFIX = "experiment"
_SMOKE_PARAMETERS = {"max_new_tokens": 16}

logger = logging.getLogger("doctune.experiments")


class Platform(Protocol):
    """The platform that serves the arms."""

    def prepare(self, plan: Plan, arm: ArmPlan) -> str:
        """Deploys an arm, unless it is; returns the upstream by which the gateway asks it."""

    def promote(self, plan: Plan, arm: ArmPlan) -> None:
        """Makes an arm's version the champion behind the experiment's endpoint."""

    def remove(self, plan: Plan) -> None:
        """Removes all that was deployed for the experiment; what is gone already is no error."""


def arm_endpoint(plan: Plan, arm: ArmPlan) -> str:
    """Returns the display name of an arm's endpoint."""
    return f"{_PREFIX}-{plan.name}-{arm.name}"


class VertexPlatform:
    """Vertex AI, in the current session."""

    def prepare(self, plan: Plan, arm: ArmPlan) -> str:
        """Deploys an arm, unless it is; returns the upstream by which the gateway asks it."""
        from doctune.vertex.arm_endpoints import serve_alone

        name = arm_endpoint(plan, arm)
        smoke_test = ({"prompt": plan.smoke_prompt},)
        serve_alone(name, arm.model_version, _machine(plan), smoke_test, _SMOKE_PARAMETERS)
        return f"vertex:{name}"

    def promote(self, plan: Plan, arm: ArmPlan) -> None:
        """Makes an arm's version the champion behind the experiment's endpoint."""
        from doctune.vertex import deploy_model

        if not (plan.endpoint and arm.model_version):
            logger.warning(
                "%s has won, and has no version to be deployed: take its %s over in gateway.yaml",
                arm.name,
                f"upstream {arm.upstream}" if arm.upstream else "settings",
            )
            return
        deploy_model(
            arm.model_version,
            endpoint_name=plan.endpoint,
            smoke_instances=[{"prompt": plan.smoke_prompt}],
            smoke_parameters=_SMOKE_PARAMETERS,
            machine=_machine(plan),
            owner=f"{_PREFIX}-{plan.name}",
        )

    def remove(self, plan: Plan) -> None:
        """Removes the arms' endpoints with what is deployed there."""
        from doctune.vertex.arm_endpoints import remove_endpoint

        for arm in plan.arms:
            remove_endpoint(arm_endpoint(plan, arm))


def _machine(plan: Plan) -> Any:
    from doctune.vertex import ServingMachine

    given: Mapping[str, Any] = plan.machine
    return ServingMachine(**given) if given else ServingMachine()
