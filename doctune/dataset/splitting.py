"""Assigns groups of related units to the training, validation and test set.

A unit is a document or, with fewer than three distinct ones, a top-level section, chunk or passage.
Units with near-duplicate texts form a group, which stays on one side. Groups are ordered by a hash
of their content and the seed, so the division is deterministic and a new document moves few others.
A side takes a group if that brings it closer to its share of the examples. Every side gets at least
one group, except that validation gets none if it consists of other phrasings of training facts.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from heapq import nsmallest

from doctune.dataset.cleaning import NearIndex, shingles
from doctune.dataset.options import DatasetOptions
from doctune.dataset.text import stable_hash

SIDES = ("train", "validation", "test")
# Two editions of a document share well over half of their text; two documents on the same subject,
# far less.
_SAME_TEXT = 0.5
_UNIT_SHINGLE_WORDS = 5
# Longer texts are compared by the shingles with the lowest hashes, an unbiased sample that
# estimates a similarity of 0.5 with an error of 0.02.
_MAX_SHINGLES = 2_048
# So many different units of a group are compared with later ones: a form that was filled in ten
# thousand times must not cause a hundred million comparisons.
_SHOWN = 16
_ALIKE = 0.9


@dataclass(frozen=True)
class Unit:
    """A unit that the split never divides."""

    key: str
    examples: int


def group_units(units: list[Unit], text_of: Callable[[str], str]) -> list[tuple[Unit, ...]]:
    """Groups near-duplicate units; the groups are in the order of their first member.

    Each unit is compared with few members of each group, so the time is linear in the units, not in
    their pairs.
    """
    index = NearIndex(_SAME_TEXT)
    groups = _Groups(unit.key for unit in units)
    same: dict[bytes, int] = {}
    for at, unit in enumerate(units):
        lowest = nsmallest(_MAX_SHINGLES, shingles(text_of(unit.key), _UNIT_SHINGLE_WORDS))
        first = same.setdefault(hashlib.sha256(repr(lowest).encode()).digest(), at)
        if first != at:
            groups.join(unit.key, units[first].key)  # the same text
            continue
        hashes = frozenset(lowest)
        alike = False
        for likeness, other in index.matches(hashes):
            groups.join(unit.key, units[other].key)
            alike = alike or likeness >= _ALIKE
        if not alike and groups.show(unit.key) <= _SHOWN:
            index.add(hashes, at)
    return groups.of(units)


class _Groups:
    """A union-find structure of groups, with the number of compared members of each."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._leader = {key: key for key in keys}
        self._shown: Counter[str] = Counter()

    def root(self, key: str) -> str:
        """Returns the representative of a unit's group."""
        while self._leader[key] != key:
            # Path halving.
            self._leader[key] = self._leader[self._leader[key]]
            key = self._leader[key]
        return key

    def join(self, one: str, other: str) -> None:
        """Merges the groups of two units."""
        joined, kept = self.root(one), self.root(other)
        if joined != kept:
            self._leader[joined] = kept
            self._shown[kept] += self._shown.pop(joined, 0)

    def show(self, key: str) -> int:
        """Counts one more compared member of a group; returns their number."""
        self._shown[self.root(key)] += 1
        return self._shown[self.root(key)]

    def of(self, units: Iterable[Unit]) -> list[tuple[Unit, ...]]:
        """Returns the groups, in the order of their first member."""
        groups: dict[str, list[Unit]] = {}
        for unit in units:
            groups.setdefault(self.root(unit.key), []).append(unit)
        return [tuple(group) for group in groups.values()]


def assign_sides(
    groups: list[tuple[Unit, ...]], options: DatasetOptions, attempt: int = 0
) -> dict[str, str]:
    """Returns the side of each unit by its key; needs at least three groups.

    Args:
        groups: From `group_units`, each with at least one example.
        options: Shares and seed.
        attempt: A different number gives a different division with the same seed.
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
    shares = [("test", options.test_share)]
    if options.validation == "documents":
        shares.append(("validation", options.validation_share))
    for still_needed, (side, share) in zip((2, 1), shares, strict=False):
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
