"""A lock on an endpoint, so that one release, rollback or experiment at a time changes it.

Vertex AI has no locks, but an endpoint has an etag, and an update with an outdated etag is refused:
compare-and-set. The lock is four labels of the endpoint, written that way: owner, start, expiry and
a fencing token. Every change under the lock is written with the etag of the read that saw the
token, so an owner that was thought dead and comes back cannot change anything.

A lock expires, so an owner that is killed does not block others for long. A process with the same
owner name, such as a retried step, takes the lock over at once. Clocks of different machines should
agree within a few seconds.
"""

from __future__ import annotations

import getpass
import logging
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from doctune.errors import DeploymentError
from doctune.vertex.labels import label_value
from doctune.vertex.session import endpoint_client

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1.types import Endpoint as EndpointMessage

_OWNER, _TOKEN, _SINCE, _EXPIRES = "lock-owner", "lock-token", "lock-since", "lock-expires"
_LABELS = (_OWNER, _TOKEN, _SINCE, _EXPIRES)
# How far the clocks of two machines may differ.
_CLOCK_SKEW_SECONDS = 5.0
_MOST_CONFLICTS = 20
_LONGEST_PAUSE_SECONDS = 2.0
_FIRST_LOOK_SECONDS, _LONGEST_LOOK_SECONDS = 0.5, 10.0

logger = logging.getLogger("doctune.vertex")

Change = Callable[["EndpointMessage"], None]


class EndpointBusyError(DeploymentError):
    """Somebody else has locked the endpoint."""


class LockLostError(DeploymentError):
    """The lock ran out or was taken over, and somebody else has it now."""


@dataclass(frozen=True)
class LockState:
    """The lock as an endpoint's labels describe it."""

    owner: str
    token: str
    since: float  # seconds since 1970
    expires: float

    @property
    def is_live(self) -> bool:
        """Whether the lock has not expired."""
        return time.time() < self.expires + _CLOCK_SKEW_SECONDS


class EndpointLock:
    """A lock that this process has on an endpoint."""

    def __init__(self, endpoint: str, owner: str, token: str, seconds: float) -> None:
        self.endpoint = endpoint
        self.owner = owner
        self._token = token
        self._seconds = seconds

    @classmethod
    def acquire(
        cls,
        endpoint: str,
        owner: str,
        *,
        seconds: float,
        wait_seconds: float = 0.0,
        take_over: bool = False,
    ) -> EndpointLock:
        """Locks an endpoint.

        Args:
            endpoint: Resource name.
            owner: Who locks it, a valid label value. An owner that already has the lock gets it
                again, as a retried step does.
            seconds: How long the lock lasts; every change under it renews it.
            wait_seconds: How long to wait for another owner.
            take_over: Takes the lock from another owner, who can no longer change anything.

        Raises:
            EndpointBusyError: Another owner still has it.
        """
        owner = label_value(owner)
        lock = cls(endpoint, owner, secrets.token_hex(8), seconds)

        def take(now: EndpointMessage) -> None:
            held = lock_of(now)
            if held and held.is_live and held.owner != owner and not take_over:
                raise EndpointBusyError(_busy(now.display_name, held))
            lock._write(now, since=time.time(), seconds=seconds)

        deadline, pause = time.monotonic() + wait_seconds, _FIRST_LOOK_SECONDS
        said = False
        while True:
            try:
                change_endpoint(endpoint, take)
                return lock
            except EndpointBusyError as error:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise
                if not said:
                    logger.info("Waiting for up to %.0f s: %s", wait_seconds, error)
                    said = True
                time.sleep(min(pause, left))
                pause = min(2 * pause, _LONGEST_LOOK_SECONDS)

    def change(self, change: Change, *, seconds: float | None = None) -> EndpointMessage:
        """Changes the endpoint in one update, and renews the lock.

        Args:
            change: Changes the labels and the traffic split of the endpoint it is given; it may be
                called again with a newer one.
            seconds: How long the lock lasts from now on; None keeps the duration.

        Raises:
            LockLostError: Somebody else has the lock; nothing has changed.
        """
        self._seconds = seconds or self._seconds

        def ours(now: EndpointMessage) -> None:
            held = self._check(now)
            change(now)
            self._write(now, since=held.since, seconds=self._seconds)

        return change_endpoint(self.endpoint, ours)

    def check(self) -> None:
        """Checks that this lock is still held.

        Raises:
            LockLostError: It is not.
        """
        self._check(endpoint_client().get_endpoint(name=self.endpoint))

    def release(self, change: Change | None = None) -> None:
        """Releases the lock, together with a last change.

        Raises:
            LockLostError: Somebody else has it; nothing has changed.
        """

        def end(now: EndpointMessage) -> None:
            self._check(now)
            if change is not None:
                change(now)
            for label in _LABELS:
                now.labels.pop(label, None)

        change_endpoint(self.endpoint, end)

    def abandon(self) -> None:
        """Expires the lock, so that anybody can take it over and finish the work.

        Raises:
            LockLostError: Somebody else has it; nothing has changed.
        """

        def expire(now: EndpointMessage) -> None:
            held = self._check(now)
            self._write(now, since=held.since, seconds=-2 * _CLOCK_SKEW_SECONDS)

        change_endpoint(self.endpoint, expire)

    def _check(self, now: EndpointMessage) -> LockState:
        held = lock_of(now)
        if held is None or held.token != self._token:
            raise LockLostError(
                f"{self.owner} no longer has the lock on {now.display_name}, which "
                f"{held.owner if held else 'nobody'} has now: nothing more was changed. Look at "
                "the endpoint, then run this again."
            )
        return held

    def _write(self, now: EndpointMessage, *, since: float, seconds: float) -> None:
        now.labels[_OWNER] = self.owner
        now.labels[_TOKEN] = self._token
        now.labels[_SINCE] = str(int(since))
        # Rounded up: a lock never expires early.
        now.labels[_EXPIRES] = str(int(time.time() + seconds) + 1)


def lock_of(endpoint: EndpointMessage) -> LockState | None:
    """Returns the lock of an endpoint that has been read, live or not."""
    labels = endpoint.labels
    if _OWNER not in labels:
        return None
    return LockState(
        owner=labels[_OWNER],
        token=labels.get(_TOKEN, ""),
        since=_seconds(labels.get(_SINCE, "")),
        expires=_seconds(labels.get(_EXPIRES, "")),
    )


def refuse_locked(endpoint: EndpointMessage) -> None:
    """Raises if somebody has locked an endpoint.

    Raises:
        EndpointBusyError: Its message says who, since when and until when.
    """
    held = lock_of(endpoint)
    if held and held.is_live:
        raise EndpointBusyError(_busy(endpoint.display_name, held))


def change_endpoint(name: str, change: Change) -> EndpointMessage:
    """Reads, changes and writes an endpoint; retries where somebody else wrote in between.

    Args:
        change: Changes the labels and the traffic split of what it is given, or raises.

    Returns:
        The endpoint after the change.

    Raises:
        google.api_core.exceptions.GoogleAPICallError: Vertex AI refuses; `Conflict` where every
            try collided with another writer.
    """
    from google.api_core.exceptions import Conflict, PreconditionFailed
    from google.cloud.aiplatform_v1.types import Endpoint
    from google.protobuf.field_mask_pb2 import FieldMask

    client = endpoint_client()
    for attempt in range(1, _MOST_CONFLICTS + 1):
        now = client.get_endpoint(name=name)
        before = dict(now.labels), dict(now.traffic_split)
        change(now)
        paths = [
            path
            for path, old, new in zip(
                ("labels", "traffic_split"),
                before,
                (dict(now.labels), dict(now.traffic_split)),
                strict=True,
            )
            if old != new
        ]
        if not paths:
            return now
        written = Endpoint(
            name=now.name, etag=now.etag, labels=now.labels, traffic_split=now.traffic_split
        )
        try:
            return client.update_endpoint(endpoint=written, update_mask=FieldMask(paths=paths))
        except (Conflict, PreconditionFailed):
            if attempt == _MOST_CONFLICTS:
                raise
            # Jitter, so that two writers that collided do not collide again.
            longest = min(0.05 * 2**attempt, _LONGEST_PAUSE_SECONDS)
            time.sleep(longest * (0.5 + secrets.randbelow(500) / 1000))
    raise AssertionError("the loop returns or raises")


def this_owner() -> str:
    """Returns the default owner of this process: user, machine and a random part."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return label_value(f"{user}-{socket.gethostname()[:30]}-{secrets.token_hex(4)}")


def _busy(display_name: str, held: LockState) -> str:
    return (
        f"{display_name} is locked by {held.owner} since {_clock(held.since)} until "
        f"{_clock(held.expires)}: wait until it is released or expires."
    )


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _seconds(label: str) -> float:
    # A label that somebody edited must not keep an endpoint locked forever.
    return float(label) if label.isdigit() else 0.0
