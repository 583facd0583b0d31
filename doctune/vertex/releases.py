"""Safe releases: deploy with a small share of the traffic, smoke-test, then give all traffic.

A canary release goes up in several steps, and watches the errors at each (`canary.py`).

A release locks the endpoint (`locks.py`), keeps a journal there (`release_journal.py`), and reads
the champion again under the lock, so that a model that was compared with an earlier champion does
not replace a newer one. A failure before the new version has all traffic is rolled back: by the
release itself or, where it was killed, by the next one. After that point the release is completed
in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from doctune.errors import DeploymentError
from doctune.vertex import release_journal as journal
from doctune.vertex.canary import Canary, UserCounts, Watch
from doctune.vertex.endpoints import endpoint_name as find_name
from doctune.vertex.endpoints import same_version
from doctune.vertex.errors import google_errors
from doctune.vertex.locks import EndpointLock, this_owner
from doctune.vertex.registry import (
    PREVIOUS,
    champion_of,
    get_version,
    list_versions,
    version_name,
)
from doctune.vertex.release_steps import STEP_SECONDS, Release, complete, promote
from doctune.vertex.session import resource_url
from doctune.vertex.smoke_test import smoke_test
from doctune.vertex.variants import ServingMachine, Variant, variants_of

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1.types import Model as ModelMessage


@dataclass(frozen=True)
class Deployment:
    """A version that serves all of an endpoint's traffic."""

    endpoint: str  # resource name
    deployed_model_id: str
    model_version: str  # projects/.../models/M@3
    answers: tuple[dict[str, Any], ...]  # to the smoke test's instances
    artifact_uri: str  # the https URI that google.VertexEndpoint artifacts carry
    created: bool  # False where the version was already deployed


def deploy_model(
    model_version: str,
    *,
    endpoint_name: str,
    smoke_instances: Sequence[Mapping[str, Any]],
    machine: ServingMachine | None = None,
    traffic_percentage: int = 10,
    smoke_parameters: Mapping[str, Any] | None = None,
    canary: Canary | None = None,
    user_counts: UserCounts | None = None,
    judged_against: str | None = None,
    owner: str = "",
    wait_seconds: float = 3600.0,
    dedicated: bool = False,
) -> Deployment:
    """Deploys a version, tests it, gives it all traffic and makes it the champion.

    The version that had the most traffic stays deployed with none, for `rollback`; older ones are
    undeployed. A version that is deployed already is tested and given the traffic.

    Args:
        model_version: projects/.../models/M@VERSION.
        endpoint_name: Display name; the endpoint is created where there is none.
        smoke_instances: Instances that the new deployment must answer with text.
        machine: The machine to deploy on; the smallest where None.
        traffic_percentage: Share of the traffic during the test, 1 to 100; 100 for the first model.
        smoke_parameters: The `parameters` of the test's predictions.
        canary: The traffic goes up in these steps, each tested and watched, instead of at once;
            `traffic_percentage` does not count then.
        user_counts: Counts the users' own requests through the endpoint while a canary goes up.
        judged_against: Artifact URI of the champion that the model was compared with, "" where
            there was none. It is an error if the champion is another by now; None skips that check.
        owner: Who releases, such as the name of a run: a killed release of the same owner is
            resumed without waiting. Where empty, an owner that is unique to this process.
        wait_seconds: How long to wait for another release in progress.
        dedicated: A new endpoint gets a host of its own. One for a version with invoke routes
            always does; there the version is tested before it has any traffic.

    Raises:
        EndpointBusyError: Another release or an experiment has the endpoint.
        DeploymentError: The release failed; the endpoint's previous state is restored.
    """
    _check_test(traffic_percentage, smoke_instances)
    if canary:
        canary.check()
    with google_errors(f"deploy {model_version} to {endpoint_name}", DeploymentError):
        version = get_version(model_version)
        name = version_name(version)
        invoked = bool(version.container_spec.invoke_route_prefix)
        release = Release.begin(
            endpoint_name,
            owner or this_owner(),
            wait_seconds,
            name,
            dedicated=dedicated,
            invoked=invoked,
        )
        with release.rolled_back_on_failure(name, endpoint_name):
            _check_champion(version, judged_against)
            variant, created = release.deploy(name, machine or ServingMachine())
            deployed = variant.deployed_model_id
            tested = _Test(release, deployed, smoke_instances, smoke_parameters, user_counts)
            if invoked:
                answers = tested.without_traffic()
            if canary:
                answers = tested.in_steps(canary)
            elif not invoked:
                answers = tested.at(traffic_percentage)
            _check_champion(version, judged_against)
            release.commit(deployed)
        with release.abandoned_on_failure():
            complete(release.lock, deployed)
    return _deployment(release.endpoint, variant, answers, created=created)


@dataclass(frozen=True)
class _Test:
    """The test of a new deployment, with a part of the traffic or by its invoke route."""

    release: Release
    deployed: str
    instances: Sequence[Mapping[str, Any]]
    parameters: Mapping[str, Any] | None
    user_counts: UserCounts | None = None

    def without_traffic(self) -> list[dict[str, Any]]:
        """Asks it by its invoke route; returns its answers."""
        self.release.hold()
        return smoke_test(self.release.endpoint, self.deployed, self.instances, self.parameters)

    def at(self, share: int, watched_seconds: float = 0.0) -> list[dict[str, Any]]:
        """Gives it a share of the traffic; returns its answers."""
        self.release.give_test_share(self.deployed, share, watched_seconds)
        return smoke_test(self.release.endpoint, self.deployed, self.instances, self.parameters)

    def in_steps(self, canary: Canary) -> list[dict[str, Any]]:
        """Gives it one share after the other, each watched; returns its last answers."""
        watch = Watch(
            self.release.endpoint, self.instances, self.parameters, canary, self.user_counts
        )
        if self._shares().keys() - {self.deployed}:
            watch.see_others()
        answers: list[dict[str, Any]] = []
        for step in canary.steps:
            answers = self.at(step, canary.seconds)
            share = self._shares()[self.deployed]
            watch.see(self.deployed, share)
            if share == 100:  # the endpoint's first model
                break
        return answers

    def _shares(self) -> dict[str, int]:
        split = dict(self.release.read().traffic_split)
        return {key: share for key, share in split.items() if share}


def _check_test(traffic_percentage: int, smoke_instances: Sequence[Mapping[str, Any]]) -> None:
    if not 1 <= traffic_percentage <= 100:
        raise DeploymentError(f"traffic_percentage must be 1 to 100; it is {traffic_percentage}.")
    if not smoke_instances:
        raise DeploymentError(
            "give at least one smoke instance: an untested model is not deployed."
        )


def rollback(endpoint: str, *, wait_seconds: float = 60.0, take_over: bool = False) -> Deployment:
    """Gives all traffic back to the version that was released before.

    Args:
        endpoint: Display name or resource name.
        wait_seconds: How long to wait for a release in progress.
        take_over: Stops a release in progress instead of waiting for it.

    Raises:
        EndpointBusyError: A release is in progress.
        DeploymentError: No earlier version is deployed.
    """
    with google_errors(f"roll back {endpoint}", DeploymentError):
        name = find_name(endpoint)
        lock = EndpointLock.acquire(
            name,
            this_owner(),
            seconds=STEP_SECONDS,
            wait_seconds=wait_seconds,
            take_over=take_over,
        )
        release = Release(name, lock, created=False)
        with release.rolled_back_on_failure("the earlier version", endpoint):
            release.recover(keep="")
            variants = variants_of(release.read())
            earlier = _earlier(variants, endpoint)
            release.open()
            release.commit(earlier.deployed_model_id)
        with release.abandoned_on_failure():
            promote(earlier.model_version)
            lock.release(journal.close_journal)
    return _deployment(name, earlier, [], created=False)


def _deployment(
    endpoint: str, variant: Variant, answers: Sequence[dict[str, Any]], *, created: bool
) -> Deployment:
    return Deployment(
        endpoint=endpoint,
        deployed_model_id=variant.deployed_model_id,
        model_version=variant.model_version,
        answers=tuple(answers),
        artifact_uri=resource_url(endpoint),
        created=created,
    )


def _check_champion(version: ModelMessage, judged_against: str | None) -> None:
    """Raises if the champion has changed since the version was compared with it."""
    if judged_against is None:
        return
    champion = champion_of(version.name.split("@")[0])
    # The champion is this very model, released by an earlier try.
    if champion is not None and champion.digest == version.labels.get("digest"):
        return
    now = champion.uri if champion else ""
    if now.rstrip("/") != judged_against.rstrip("/"):
        compared = f"the champion at {judged_against}" if judged_against else "no champion"
        found = f"version {champion.version_id} is champion" if champion else "there is none"
        name = version_name(version).split("/")[-1]
        raise DeploymentError(
            f"{name} was compared with {compared}, but now {found}: somebody released or rolled "
            "back in the meantime. Evaluate it again."
        )


def _earlier(variants: Sequence[Variant], endpoint: str) -> Variant:
    """Returns the variant that a rollback restores."""
    current = max(variants, key=lambda variant: variant.share, default=None)
    if current is None or not current.share:
        raise DeploymentError(f"{endpoint} serves no model: there is nothing to roll back.")
    parent = current.model_version.split("@")[0]
    previous = [version_name(v) for v in list_versions(parent) if PREVIOUS in v.version_aliases]
    earlier = [
        variant
        for variant in variants
        if variant is not current
        and any(same_version(variant.model_version, name) for name in previous)
    ]
    if not earlier:
        raise DeploymentError(
            f"{endpoint} has no earlier version deployed: deploy one with deploy_model."
        )
    return earlier[0]
