"""Assigns users to arms by a keyed hash, which is the same in every process and language.

    bucket = first 8 bytes, as a big-endian unsigned number, of
             HMAC-SHA256(key = UTF-8 of the salt, message = UTF-8 of the unit), modulo 10,000

The buckets are divided into equal segments, one per arm, control first. A share of n buckets takes
the first n of each segment. So when the share grows, users stay in their arm, and all arms have the
same share at every stage.

The experiments of a layer each have a slot of its buckets, so no user is in two of them. Layers are
independent of each other. Users in the holdout are in no experiment.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

BUCKETS = 10_000

_HOLDOUT_SALT = "holdout"


@dataclass(frozen=True)
class Allocation:
    """The current division of users into arms."""

    salt: str
    arms: tuple[str, ...]  # control first
    shares: Mapping[str, int]  # buckets of each arm; one that is not named has none
    layer: str = "default"
    slot: tuple[int, int] = (0, BUCKETS)  # of the layer's buckets: from, and up to
    holdout: int = 0  # buckets
    forced: Mapping[str, str] = field(default_factory=dict)  # arms of testers, by unit

    @property
    def segment(self) -> int:
        """The maximum number of buckets per arm."""
        return BUCKETS // len(self.arms)


@dataclass(frozen=True)
class Assignment:
    """The arm of a unit. A tester's forced arm does not count as an exposure."""

    arm: str
    forced: bool = False


def bucket_of(salt: str, unit: str) -> int:
    """Returns the bucket of a unit, 0 to 9,999."""
    digest = hmac.digest(salt.encode(), unit.encode(), "sha256")
    return int.from_bytes(digest[:8], "big") % BUCKETS


def assign(allocation: Allocation, unit: str) -> Assignment | None:
    """Returns the arm of a unit; None if it is not in the experiment."""
    if (arm := allocation.forced.get(unit)) is not None:
        return Assignment(arm, forced=True)
    if allocation.holdout and bucket_of(_HOLDOUT_SALT, unit) < allocation.holdout:
        return None
    start, end = allocation.slot
    if end - start < BUCKETS and not start <= bucket_of(f"layer:{allocation.layer}", unit) < end:
        return None
    number, place = divmod(bucket_of(allocation.salt, unit), allocation.segment)
    if number >= len(allocation.arms):  # what is left over where the arms do not divide 10,000
        return None
    arm = allocation.arms[number]
    return Assignment(arm) if place < allocation.shares.get(arm, 0) else None


def unit_of(owner: str, key_id: str, end_user: str | None, conversation_id: str | None) -> str:
    """Returns the unit of assignment: the user, or else the conversation, or else the key.

    Args:
        owner: The tenant; users with the same name in two tenants are different units.
        end_user: The name as stored in the log, which may be hashed.
    """
    if end_user:
        return f"user:{owner}:{end_user}"
    if conversation_id:
        return f"conversation:{owner}:{conversation_id}"
    return f"key:{key_id}"


def free_slot(taken: list[tuple[int, int]], buckets: int) -> tuple[int, int] | None:
    """Returns the first free slot of a layer that is large enough, or None."""
    start = 0
    for first, end in sorted(taken):
        if first - start >= buckets:
            break
        start = max(start, end)
    return (start, start + buckets) if start + buckets <= BUCKETS else None
