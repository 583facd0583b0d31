"""Rolls out a version: at once, as a canary, or by an A/B test.

An experiment is stored in the database before its arms are deployed, under a name made of run and
version. So a retried step resumes the same experiment. The experiment of an abandoned run is shown
by `doctune experiment list` and ended with `doctune experiment stop`.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from doctune.configuration.vertex_sections import Rollout
from doctune.errors import UsageError

if TYPE_CHECKING:
    from doctune.database.engine import Engine
    from doctune.database.experiments import ExperimentState
    from doctune.experiments.options import ExperimentOptions
    from doctune.experiments.plan import Plan
    from doctune.vertex import Canary, ServingMachine
    from doctune.vertex.canary import UserCounts

_SMOKE_PARAMETERS = {"max_new_tokens": 16}
_SAID_IN = "the parameter experiment"
_DAY_SECONDS = 86_400.0

logger = logging.getLogger("doctune.experiments")


@dataclass(frozen=True, kw_only=True)
class Release:
    """The version to release, and where.

    Attributes:
        model_version: projects/.../models/M@VERSION.
        endpoint_name: Display name; the endpoint is created if there is none.
        judged_against: Artifact URI of the champion that the model was compared with.
        owner: Name of the pipeline run: a retry resumes its own release.
        smoke_prompt: A prompt that the new deployment must answer.
        traffic_percentage: Share of the traffic during the test of a direct release.
        dedicated: Whether an endpoint that is created gets a host of its own.
    """

    model_version: str
    endpoint_name: str
    judged_against: str
    owner: str
    smoke_prompt: str
    machine: ServingMachine
    canary: Canary
    traffic_percentage: int
    dedicated: bool = False


@dataclass(frozen=True)
class RolledOut:
    """The result of a release; `experiment` is the one that decides, or ""."""

    endpoint: str  # resource name
    deployed_model_id: str
    artifact_uri: str
    experiment: str = ""


def roll_out(release: Release, rollout: str, experiment: Mapping[str, Any]) -> RolledOut:
    """Releases a version by one of the methods of `Rollout`.

    With `experiment` it is deployed as a treatment without users; `run_to_its_end` decides. If no
    other version is released, there is nothing to compare with and it is released directly.

    Args:
        experiment: The settings of experiments, as in experiments.yaml.

    Raises:
        UsageError: There is no such method.
        ConfigurationError: A setting is wrong.
        DeploymentError: The release failed; earlier deployments are unchanged.
    """
    from doctune.vertex import deploy_model

    if rollout not in get_args(Rollout):
        raise UsageError(f"rollout is {', '.join(get_args(Rollout))}; not {rollout!r}.")
    if rollout == "experiment" and _has_rival(release.model_version):
        return _deploy_treatment(release, experiment)
    done = deploy_model(
        release.model_version,
        endpoint_name=release.endpoint_name,
        machine=release.machine,
        traffic_percentage=release.traffic_percentage,
        canary=release.canary if rollout == "canary" else None,
        user_counts=_user_counts(release, experiment) if rollout == "canary" else None,
        smoke_instances=[{"prompt": release.smoke_prompt}],
        smoke_parameters=_SMOKE_PARAMETERS,
        judged_against=release.judged_against,
        owner=release.owner,
        dedicated=release.dedicated,
    )
    return RolledOut(done.endpoint, done.deployed_model_id, done.artifact_uri)


def run_to_its_end(
    name: str, experiment: Mapping[str, Any], report: Path
) -> tuple[ExperimentState, dict[str, float]]:
    """Controls an experiment until it ends; returns the outcome and the last numbers.

    An experiment that exceeds `release.limit_days` is stopped, and the control is kept.

    Args:
        experiment: The settings of experiments, as in experiments.yaml.
        report: HTML file to write.

    Raises:
        ConfigurationError: A setting is wrong.
        DeploymentError: What was deployed cannot be removed.
    """
    from doctune.database.experiments import decisions_of
    from doctune.experiments.controller import Controller
    from doctune.experiments.platform import VertexPlatform
    from doctune.experiments.report import render_report
    from doctune.files import write_text
    from doctune.vertex.locks import this_owner

    options, engine = _opened(experiment)
    controller = Controller(engine, name, VertexPlatform(), this_owner())
    limit = options.release.limit_days * _DAY_SECONDS
    state = controller.run(lambda step: logger.info(step.sentence), limit)
    write_text(report, render_report(engine, name))
    looks = [step.numbers for step in decisions_of(engine, name) if step.numbers]
    return state, _flat(looks[-1]) if looks else {}


def _user_counts(release: Release, experiment: Mapping[str, Any]) -> UserCounts | None:
    """Returns a function that counts requests in the gateway's log; None without a database."""
    from doctune.database.usage import endpoint_requests
    from doctune.experiments.options import experiment_options
    from doctune.experiments.service_database import is_known

    if not experiment or not is_known(experiment_options(experiment, _SAID_IN).release.database):
        logger.info("The canary sees its own predictions only: the gateway's log is not known.")
        return None
    options, engine = _opened(experiment)
    model = options.release.model or release.endpoint_name
    upstream = f"vertex:{release.endpoint_name}"
    return lambda since: endpoint_requests(engine, model, upstream, since)


def _deploy_treatment(release: Release, experiment: Mapping[str, Any]) -> RolledOut:
    from doctune.database.experiments import PREPARING, RUNNING
    from doctune.experiments.controller import Controller
    from doctune.experiments.plan import TREATMENT
    from doctune.experiments.platform import VertexPlatform, arm_endpoint
    from doctune.vertex import find_endpoint, list_variants
    from doctune.vertex.locks import this_owner
    from doctune.vertex.session import resource_url

    options, engine = _opened(experiment)
    plan = _planned(engine, release, options)
    state = Controller(engine, plan.name, VertexPlatform(), this_owner()).deploy()
    has_arm = state.state in (PREPARING, RUNNING)  # else an earlier try has come to the end
    name = arm_endpoint(plan, plan.arm(TREATMENT)) if has_arm else release.endpoint_name
    endpoint, serving = find_endpoint(name), max(list_variants(name), key=lambda v: v.share)
    return RolledOut(endpoint, serving.deployed_model_id, resource_url(endpoint), plan.name)


def _planned(engine: Engine, release: Release, options: ExperimentOptions) -> Plan:
    """Returns the plan of this release's experiment, which an earlier attempt may have created."""
    from doctune.database.experiments import list_experiments
    from doctune.experiments.creation import ArmChoice, Request, create_experiment
    from doctune.experiments.plan import TREATMENT, Plan

    wanted = options.release
    name = wanted.name or _name_of(release)
    for state in list_experiments(engine):
        if state.name == name:
            return Plan.model_validate(state.plan)
    request = Request(
        name=name,
        model=wanted.model or release.endpoint_name,
        endpoint=release.endpoint_name,
        treatments=(ArmChoice(TREATMENT, release.model_version),),
        metric=wanted.metric,
        control=f"{release.model_version.split('@')[0]}@champion",
        guardrails=wanted.guardrails,
        ramp=wanted.ramp,
        layer=wanted.layer,
        layer_share=wanted.layer_share,
        smoke_prompt=release.smoke_prompt,
        machine=asdict(release.machine),
    )
    return create_experiment(engine, options, request)


def _has_rival(version: str) -> bool:
    """Returns whether another version of the model is released."""
    from doctune.errors import DeploymentError
    from doctune.vertex.endpoints import same_version
    from doctune.vertex.errors import google_errors
    from doctune.vertex.registry import champion_of, get_version, version_name

    parent = version.split("@")[0]
    with google_errors(f"find the champion of {parent}", DeploymentError):
        champion = champion_of(parent)
        known = version_name(get_version(version))
    return champion is not None and not same_version(champion.version_name, known)


def _name_of(release: Release) -> str:
    number = release.model_version.rpartition("@")[2]
    run = hashlib.sha256(release.owner.encode()).hexdigest()[:8]
    return f"release-{number[:10]}-{run}"


def _opened(experiment: Mapping[str, Any]) -> tuple[ExperimentOptions, Engine]:
    from doctune.database.schema import prepare
    from doctune.experiments.options import experiment_options
    from doctune.experiments.service_database import open_service_database

    options = experiment_options(experiment, _SAID_IN)
    engine = open_service_database(options.release.database)
    prepare(engine)
    return options, engine


def _flat(numbers: Mapping[str, Any]) -> dict[str, float]:
    """Returns the results as flat numbers, for the run's metrics."""
    flat = {f"users_{arm}": float(users) for arm, users in numbers["users"].items()}
    for found in numbers["findings"]:
        for key in ("control", "treatment", "effect", "lower", "upper"):
            if found[key] is not None:
                flat[f"{found['metric']}_{found['arm']}_{key}"] = float(found[key])
    return flat
