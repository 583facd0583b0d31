"""Divides what belongs together onto train, validation and test.

A unit is a document; where there are fewer than three that differ, a top-level section, a chunk or
a passage. Units whose texts are near copies form a group, and a group stays on one side. Groups
are taken in the order of a hash of their content and the seed, so the same input is always divided
the same way and a new document moves few others; each side takes a group when that brings it nearer
to its share of the examples. Every side gets at least one group.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from doctune.dataset.cleaning import NearIndex, shingles
from doctune.dataset.options import DatasetOptions
from doctune.dataset.text import stable_hash

SIDES = ("train", "validation", "test")
# Two editions of one document share well over half of their text; two documents on one subject
# share far less.
_SAME_TEXT = 0.5
_UNIT_SHINGLE_WORDS = 5
# Signatures of longer texts use the shingles with the lowest hashes: a fair sample of both.
_MAX_SHINGLES = 20_000


@dataclass(frozen=True)
class Unit:
    """What is never cut by the split."""

    key: str
    examples: int


def group_units(units: list[Unit], text_of: Callable[[str], str]) -> list[tuple[Unit, ...]]:
    """Returns the units with near copies together, in the order of their first member."""
    index = NearIndex(_SAME_TEXT)
    leader = {unit.key: unit.key for unit in units}

    def root(key: str) -> str:
        while leader[key] != key:
            key = leader[key]
        return key

    for unit in units:
        hashes = frozenset(sorted(shingles(text_of(unit.key), _UNIT_SHINGLE_WORDS))[:_MAX_SHINGLES])
        for other in index.find(hashes):
            leader[root(unit.key)] = root(str(other))
        index.add(hashes, unit.key)
    groups: dict[str, list[Unit]] = {}
    for unit in units:
        groups.setdefault(root(unit.key), []).append(unit)
    return [tuple(group) for group in groups.values()]


def assign_sides(
    groups: list[tuple[Unit, ...]], options: DatasetOptions, attempt: int = 0
) -> dict[str, str]:
    """Returns the side of each unit by its key; needs at least three groups.

    Args:
        groups: From `group_units`, each with at least one example.
        options: Shares and seed.
        attempt: Another number gives another division with the same seed.
    """
    sizes = [sum(unit.examples for unit in group) for group in groups]
    total = sum(sizes)
    free = sorted(
        range(len(groups)),
        key=lambda at: stable_hash(
            "split", options.seed, attempt, min(unit.key for unit in groups[at])
        ),
    )
    sides: dict[int, str] = {}
    shares = (("test", options.test_share), ("validation", options.validation_share))
    for still_needed, (side, share) in zip((2, 1), shares, strict=True):
        taken = _fill(free, sizes, target=share * total, leave=still_needed)
        sides.update(dict.fromkeys(taken, side))
        free = [at for at in free if at not in sides]
    return {unit.key: sides.get(at, "train") for at, group in enumerate(groups) for unit in group}


def _fill(free: list[int], sizes: list[int], *, target: float, leave: int) -> list[int]:
    taken: list[int] = []
    filled = 0
    for at in free:
        if len(free) - len(taken) <= leave:
            break
        if abs(filled + sizes[at] - target) < abs(filled - target):
            taken.append(at)
            filled += sizes[at]
    return taken or [min(free, key=lambda at: sizes[at])]
