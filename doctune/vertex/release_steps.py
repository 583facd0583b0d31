"""The steps of a release on the endpoint it has locked.

The process may be killed after any step. So each step is either one update of the endpoint, which
writes traffic, lock and journal together, or is idempotent.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from doctune.errors import DeploymentError
from doctune.vertex import release_journal as journal
from doctune.vertex.endpoints import get_or_create, same_version
from doctune.vertex.errors import explain, google_error_types
from doctune.vertex.locks import EndpointLock, LockLostError
from doctune.vertex.registry import (
    CANDIDATE,
    CHAMPION,
    DEFAULT,
    PREVIOUS,
    list_versions,
    set_aliases,
    version_name,
)
from doctune.vertex.session import endpoint_client
from doctune.vertex.smoke_test import LONGEST_SECONDS
from doctune.vertex.variants import (
    DEPLOY_SECONDS,
    UNDEPLOY_SECONDS,
    ServingMachine,
    Variant,
    deploy_variant,
    find_variant,
    new_variant_id,
    remove_variant,
    split_with_share,
    variants_of,
    wait_for_deployments,
)

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1.types import Endpoint as EndpointMessage

# Lock time between two changes of the endpoint when nothing slow happens.
STEP_SECONDS = 120.0
MARGIN_SECONDS = 60.0
_MOST_TRIES = 5

logger = logging.getLogger("doctune.vertex")


class Release:
    """A release in progress on an endpoint that it has locked."""

    def __init__(self, endpoint: str, lock: EndpointLock, *, created: bool) -> None:
        self.endpoint = endpoint
        self.lock = lock
        self._created = created

    @classmethod
    def begin(
        cls,
        display_name: str,
        owner: str,
        wait_seconds: float,
        version: str,
        *,
        dedicated: bool = False,
        invoked: bool = False,
    ) -> Release:
        """Finds or creates an endpoint, locks it, and recovers a release that was killed."""
        from google.api_core.exceptions import NotFound

        for attempt in range(1, _MOST_TRIES + 1):
            endpoint, created = get_or_create(display_name, dedicated=dedicated, invoked=invoked)
            try:
                lock = EndpointLock.acquire(
                    endpoint.resource_name, owner, seconds=STEP_SECONDS, wait_seconds=wait_seconds
                )
                break
            except NotFound:
                # In the meantime a first release failed and removed the endpoint it had created.
                if attempt == _MOST_TRIES:
                    raise
        release = cls(endpoint.resource_name, lock, created=created)
        with release.abandoned_on_failure():
            release.recover(keep=version)
            release.open()
        return release

    def read(self) -> EndpointMessage:
        """Returns the endpoint as it is now."""
        return endpoint_client().get_endpoint(name=self.endpoint)

    def recover(self, keep: str) -> None:
        """Rolls back or completes a release that was killed.

        Args:
            keep: A version that stays deployed, without traffic, even if the killed release
                deployed it, because it is about to be released again.
        """
        found = journal.read_journal(self.read())
        if found is None:
            return
        if found.released:
            logger.warning("Completing a release that was interrupted")
            complete(self.lock, found.released, keep_lock=True)
        else:
            logger.warning("Rolling back a release that was interrupted")
            self._roll_back(found, keep)

    def open(self) -> None:
        """Opens the journal with the current traffic split."""
        left = journal.read_journal(self.read())

        def begin(now: EndpointMessage) -> None:
            journal.open_journal(now)
            if left and left.added:
                # A killed release deployed the version that is released now. If this release
                # fails, that deployment is removed.
                journal.note_added(now, left.added)

        self.lock.change(begin, seconds=STEP_SECONDS)

    def deploy(self, version: str, machine: ServingMachine) -> tuple[Variant, bool]:
        """Deploys a version unless it is; returns its variant and whether it was deployed now."""
        known = find_variant(variants_of(self.read()), version)
        if known is not None:
            _warn_of_other_machine(known, machine)
            return known, False
        number = new_variant_id()
        self.lock.change(
            lambda now: journal.note_added(now, number), seconds=DEPLOY_SECONDS + MARGIN_SECONDS
        )
        added = deploy_variant(self.endpoint, version, machine, number, self.lock)
        return added, True

    def give_test_share(
        self, deployed_model_id: str, percentage: int, watched_seconds: float = 0.0
    ) -> None:
        """Gives a variant its share of the traffic during the test, unless it has more.

        Args:
            watched_seconds: How long the share is watched after the test.
        """

        def share(now: EndpointMessage) -> None:
            if now.traffic_split.get(deployed_model_id, 0) < percentage:
                split = split_with_share(dict(now.traffic_split), deployed_model_id, percentage)
                now.traffic_split = {d.id: split.get(d.id, 0) for d in now.deployed_models}

        self.lock.change(share, seconds=LONGEST_SECONDS + MARGIN_SECONDS + watched_seconds)

    def hold(self) -> None:
        """Keeps the lock for the time of a test, and changes nothing."""
        self.lock.change(lambda _: None, seconds=LONGEST_SECONDS + MARGIN_SECONDS)

    def commit(self, deployed_model_id: str) -> None:
        """Gives a variant all traffic, after which the release is no longer rolled back."""
        self.lock.change(lambda now: journal.commit(now, deployed_model_id), seconds=STEP_SECONDS)

    @contextlib.contextmanager
    def rolled_back_on_failure(self, version: str, display_name: str) -> Iterator[None]:
        """Rolls back if the block fails: restores the traffic, then undeploys what it added."""
        try:
            yield
        except LockLostError:
            # The new owner of the lock has rolled this release back.
            raise
        except BaseException as error:
            logger.warning("The release failed: restoring the previous traffic split")
            try:
                self._undo()
            except Exception as second:
                logger.error(
                    "The failed release could not be rolled back on %s: %s The next release "
                    "will do it.",
                    self.endpoint,
                    second if isinstance(second, DeploymentError) else explain(second),
                )
            if isinstance(error, google_error_types()):
                raise DeploymentError(
                    f"{version} could not be deployed to {display_name}, whose traffic is "
                    f"unchanged: {explain(error)}"
                ) from error
            raise

    @contextlib.contextmanager
    def abandoned_on_failure(self) -> Iterator[None]:
        """Abandons the lock if the block fails, so that the next release finishes the work."""
        try:
            yield
        except LockLostError:
            raise
        except BaseException:
            with contextlib.suppress(*google_error_types(), DeploymentError):
                self.lock.abandon()
            raise

    def _undo(self) -> None:
        found = journal.read_journal(self.read())
        if found is not None and found.released:
            # The commit succeeded though its answer was lost: complete it, do not roll back.
            self.lock.abandon()
            return
        if found is not None:
            self._roll_back(found, keep="")
        if self._created and not self.read().deployed_models:
            endpoint_client().delete_endpoint(name=self.endpoint).result(timeout=UNDEPLOY_SECONDS)
        else:
            self.lock.release(journal.close_journal)

    def _roll_back(self, found: journal.Journal, keep: str) -> None:
        self.lock.change(
            lambda now: journal.restore_traffic(now, found.before),
            seconds=DEPLOY_SECONDS + UNDEPLOY_SECONDS,
        )
        variants = {variant.deployed_model_id: variant for variant in variants_of(self.read())}
        if found.added and found.added not in variants:
            # Killed during the deployment, which Vertex AI continues.
            wait_for_deployments(self.endpoint)
            variants = {variant.deployed_model_id: variant for variant in variants_of(self.read())}
        if found.added not in variants:
            self.lock.change(journal.close_journal, seconds=STEP_SECONDS)
        elif not (keep and same_version(variants[found.added].model_version, keep)):
            remove_variant(self.endpoint, found.added, lock=self.lock)
            self.lock.change(journal.close_journal, seconds=STEP_SECONDS)


def complete(lock: EndpointLock, deployed_model_id: str, *, keep_lock: bool = False) -> None:
    """Finishes a committed release: moves the aliases and undeploys old versions."""
    now = endpoint_client().get_endpoint(name=lock.endpoint)
    found = journal.read_journal(now)
    variants = variants_of(now)
    released = next(v for v in variants if v.deployed_model_id == deployed_model_id)
    lock.check()
    promote(released.model_version)
    for variant in _too_old(variants, deployed_model_id, found.before if found else {}):
        lock.change(lambda _: None, seconds=UNDEPLOY_SECONDS + MARGIN_SECONDS)
        remove_variant(lock.endpoint, variant.deployed_model_id, lock=lock)
    if keep_lock:
        lock.change(journal.close_journal, seconds=STEP_SECONDS)
    else:
        lock.release(journal.close_journal)


def _warn_of_other_machine(variant: Variant, machine: ServingMachine) -> None:
    has, asked = variant.machine, machine
    if (has.machine_type, has.min_replica_count) != (asked.machine_type, asked.min_replica_count):
        logger.warning(
            "The version is already deployed, on %s with at least %d replicas, and keeps them: "
            "undeploy it first to change the machine",
            has.machine_type,
            has.min_replica_count,
        )


def promote(version: str) -> None:
    """Makes a version the champion and the former champion the previous one."""
    parent = version.split("@")[0]
    holders = {alias: v for v in list_versions(parent) for alias in v.version_aliases}
    former = holders.get(CHAMPION)
    if former is not None and same_version(version_name(former), version):
        return
    if former is not None:
        set_aliases(version_name(former), add=[PREVIOUS])
    # If this version had `previous`, the alias has moved to the former champion.
    left_over = {CANDIDATE} if former is not None else {CANDIDATE, PREVIOUS}
    has = {alias for alias, v in holders.items() if same_version(version_name(v), version)}
    set_aliases(version, add=[CHAMPION, DEFAULT], remove=sorted(has & left_over))


def _too_old(
    variants: Sequence[Variant], released: str, before: Mapping[str, int]
) -> list[Variant]:
    """Returns all variants but the one released now and the one before, kept for rollback."""
    others = [variant for variant in variants if variant.deployed_model_id != released]
    if len(others) < 2:
        return []
    parents = {variant.model_version.split("@")[0] for variant in others}
    previous = [
        version_name(version)
        for parent in parents
        for version in list_versions(parent)
        if PREVIOUS in version.version_aliases
    ]

    def worth_keeping(variant: Variant) -> tuple[bool, int]:
        is_previous = any(same_version(variant.model_version, name) for name in previous)
        return is_previous, before.get(variant.deployed_model_id, 0)

    kept = max(others, key=worth_keeping)
    return [variant for variant in others if variant is not kept]
