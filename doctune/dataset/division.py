"""Divides the examples into training, validation and test set.

The unit is the document. With fewer than three distinct documents, it is the chapter, section,
chunk or passage: the coarsest at which no side is empty. After the division no sentence may be on
two sides: a text that several documents share stays in the training set, so that the model may
learn it and is never tested on it.

If `options.validation` is "phrasings", documents are held out only for the test set. Validation
gets phrasings from the training set whose facts stay there, so it measures what was learnt.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby

from doctune.dataset.cleaning import Deduplicator, SideGuard
from doctune.dataset.options import DatasetOptions
from doctune.dataset.records import Example, Fact
from doctune.dataset.splitting import SIDES, Unit, assign_sides, group_units
from doctune.dataset.text import stable_hash
from doctune.dataset.view import View
from doctune.errors import DatasetError

UnitNamer = Callable[[Example], str]

# The units of division, coarsest first; finer ones are used when there are too few documents.
_LEVELS = ("document", "chapter", "section", "chunk", "passage")
_LEAST_GROUPS = {"document": 3, "chapter": 5, "section": 5, "chunk": 5, "passage": 3}
_ATTEMPTS = 4


@dataclass
class Removals:
    """Counts of removed examples."""

    exact: int = 0
    near: int = 0
    filtered: Counter[str] = field(default_factory=Counter)

    def add(self, deduplicator: Deduplicator) -> None:
        """Adds the counts of a deduplicator."""
        self.exact += deduplicator.exact
        self.near += deduplicator.near
        if deduplicator.contradictions:
            self.filtered["question_with_two_answers"] += deduplicator.contradictions


@dataclass(frozen=True)
class Division:
    """The examples of each side, and how they were divided."""

    level: str  # one of _LEVELS
    sides: dict[str, tuple[Example, ...]]
    side_of_unit: dict[str, str]
    groups: tuple[tuple[str, ...], ...]  # units that were kept together, in groups of two or more


def divide(
    views: list[View], examples: list[Example], options: DatasetOptions, removed: Removals
) -> tuple[Division, Removals]:
    """Divides at the coarsest level at which no side is empty.

    Returns:
        The division, and the removals including those of the division itself.

    Raises:
        DatasetError: There are too few examples for three sides.
    """
    for level in _LEVELS:
        unit_of = _unit_namer(views, level)
        sizes = Counter(map(unit_of, examples))
        if len(sizes) < _LEAST_GROUPS[level]:
            continue
        units = [Unit(key, size) for key, size in sizes.items()]
        groups = group_units(units, _unit_texts(views, level, examples, unit_of))
        if len(groups) < _LEAST_GROUPS[level]:
            continue
        for attempt in range(_ATTEMPTS):
            side_of = assign_sides(groups, options, attempt)
            tally = replace(removed, filtered=Counter(removed.filtered))
            sides = _guarded(examples, unit_of, side_of, options, tally)
            if options.validation == "phrasings":
                sides |= _hold_out(sides["train"], options)
            if all(sides.values()):
                together = tuple(
                    tuple(unit.key for unit in group) for group in groups if len(group) > 1
                )
                return Division(level, sides, side_of, together), tally
    raise DatasetError(
        f"{len(examples)} examples from {len(views)} documents are too few for train, validation "
        "and test: add documents, ideally three or more different ones."
    )


def _unit_namer(views: list[View], level: str) -> UnitNamer:
    """Returns a function that maps an example to the key of its unit."""
    if level == "document":
        return lambda example: example.doc_id
    if level == "passage":
        return lambda example: f"{example.doc_id}#{stable_hash(example.passage):016x}"
    marks: dict[str, tuple[list[int], list[int]]] = {}
    for view in views:
        if level in ("chapter", "section"):
            starts = [section.start for section in view.sections]
            numbers = [
                section.top if level == "chapter" else section.number for section in view.sections
            ]
        else:
            starts = [chunk.block for chunk in view.chunks]
            numbers = [chunk.number for chunk in view.chunks]
        marks[view.document.doc_id] = (starts, numbers)

    def name(example: Example) -> str:
        starts, numbers = marks[example.doc_id]
        at = max(0, bisect_right(starts, example.block) - 1)
        return f"{example.doc_id}#{level}-{numbers[at]}"

    return name


def _unit_texts(
    views: list[View], level: str, examples: list[Example], unit_of: UnitNamer
) -> Callable[[str], str]:
    """Returns what gives the text of a unit, by which near-duplicate units are found."""
    if level == "document":
        documents = {view.document.key: view.document for view in views}
        return lambda key: "\n".join(block.text for block in documents[key].blocks)
    # Finer units are those of a corpus with few documents.
    passages: dict[str, dict[str, None]] = {}
    for example in examples:
        passages.setdefault(unit_of(example), {})[example.passage] = None
    return lambda key: "\n".join(passages[key])


def _guarded(
    examples: list[Example],
    unit_of: UnitNamer,
    side_of: dict[str, str],
    options: DatasetOptions,
    removed: Removals,
) -> dict[str, tuple[Example, ...]]:
    """Returns the examples of each side without those that an earlier side gives away."""
    by_side: dict[str, list[Example]] = {side: [] for side in SIDES}
    for example in examples:
        by_side[side_of[unit_of(example)]].append(example)
    deduplicator = Deduplicator.of(options)
    guard = SideGuard()
    kept: dict[str, tuple[Example, ...]] = {}
    for side in SIDES:
        admitted = []
        for example in _without_copies(by_side.pop(side), deduplicator, side):
            if guard.admit(example):
                admitted.append(example)
            else:
                removed.filtered["sentence_on_another_side"] += 1
        guard.next_side()
        kept[side] = tuple(admitted)
    removed.add(deduplicator)
    removed.filtered += Counter()  # drops the reasons that never occurred
    return kept


def _hold_out(
    learnt: tuple[Example, ...], options: DatasetOptions
) -> dict[str, tuple[Example, ...]]:
    """Divides phrasings: of facts that are asked for in several, some lose one to validation.

    Each fact stays in the training set, so validation asks for known facts in other words. The
    facts are sampled by hash and seed, so that a few more examples change few of them.
    """
    wanted = round(options.validation_share * len(learnt))
    ranks = array("Q", (_rank(own, options) for own in _by_fact(learnt) if len(own) > 1))
    last = _smallest(ranks, wanted)
    train: list[Example] = []
    validation: list[Example] = []
    for own in _by_fact(learnt):
        held = None
        if len(own) > 1 and len(validation) < wanted and _rank(own, options) <= last:
            held = min(own, key=lambda one: stable_hash("phrasing", options.seed, one.question))
            validation.append(held)
        train += [example for example in own if example is not held]
    return {"train": tuple(train), "validation": tuple(validation)}


def _rank(own: list[Example], options: DatasetOptions) -> int:
    return stable_hash("hold out", options.seed, own[0].fact_id)


def _smallest(ranks: array[int], wanted: int) -> int:
    """Returns the largest of the `wanted` smallest numbers; -1 for none of them."""
    import numpy as np

    if not wanted or not ranks:
        return -1
    numbers = np.frombuffer(ranks, dtype=np.uint64)
    return int(np.partition(numbers, min(wanted, len(numbers)) - 1)[min(wanted, len(numbers)) - 1])


def _by_fact(examples: Iterable[Example]) -> Iterator[list[Example]]:
    """Yields the phrasings of each fact, which stand together in every list of examples."""
    for _, own in groupby(examples, key=lambda example: example.fact):
        yield list(own)


def _without_copies(
    examples: list[Example], deduplicator: Deduplicator, side: str
) -> Iterator[Example]:
    for own in _by_fact(examples):
        first = own[0]
        fact = Fact(
            kind=first.kind,
            questions=tuple(example.question for example in own),
            answer=first.answer,
            passage=first.passage,
            pages=first.pages,
            heading=first.heading,
            block=first.block,
        )
        admitted = set(deduplicator.admit(fact, side))
        yield from (example for example in own if example.question in admitted)
