"""The stage as a whole: parsed documents in; three data sets, a manifest and a card out.

The rules (and the teacher, if one is asked for) make facts from each document; these are cleaned,
divided by document, and guarded so that no sentence stands on two sides. Of a text that several
documents share, train keeps the copy: the model may learn it, and is never tested on it. Nothing
depends on the clock, on chance or on where the files lie: the same input gives the same bytes. All
five files are written beside their places and moved there together at the end.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from doctune.dataset.card import write_card
from doctune.dataset.cleaning import Deduplicator, SideGuard, filter_facts, limit_kinds
from doctune.dataset.generator import ExampleGenerator, RuleGenerator
from doctune.dataset.manifest import manifest_of
from doctune.dataset.options import DatasetOptions
from doctune.dataset.records import Example, Fact, read_corpus
from doctune.dataset.splitting import SIDES, Unit, assign_sides, group_units
from doctune.dataset.text import stable_hash
from doctune.dataset.tokens import TokenCounter
from doctune.dataset.view import View, view_documents
from doctune.digests import digest_file, digest_value
from doctune.errors import DatasetError
from doctune.files import atomic_path
from doctune.progress import progress

# What is divided when there are too few documents, the coarsest first.
_LEVELS = ("document", "section", "chunk", "passage")
_LEAST_GROUPS = {"document": 3, "section": 5, "chunk": 5, "passage": 3}
_ATTEMPTS = 4


@dataclass(frozen=True)
class DatasetSummary:
    """What was made and what was left out, in examples."""

    examples: int
    train: int
    validation: int
    test: int
    kinds: dict[str, int]
    duplicates_removed: int
    near_duplicates_removed: int
    filtered: dict[str, int]
    digest: str
    split_by: str = "document"


@dataclass
class Removals:
    """Counts of examples left out."""

    exact: int = 0
    near: int = 0
    filtered: Counter[str] = field(default_factory=Counter)

    def add(self, deduplicator: Deduplicator) -> None:
        """Adds what a deduplicator refused."""
        self.exact += deduplicator.exact
        self.near += deduplicator.near
        if deduplicator.contradictions:
            self.filtered["question_with_two_answers"] += deduplicator.contradictions


@dataclass(frozen=True)
class Division:
    """Which example stands on which side, and why so."""

    level: str  # "document", "section", "chunk" or "passage"
    sides: dict[str, tuple[Example, ...]]
    side_of_unit: dict[str, str]
    groups: tuple[tuple[str, ...], ...]  # units that were kept together, those of more than one


def prepare_dataset(
    documents_dir: Path,
    *,
    train_path: Path,
    validation_path: Path,
    test_path: Path,
    manifest_path: Path,
    card_path: Path,
    options: DatasetOptions | None = None,
    tokenizer: Any = None,
) -> DatasetSummary:
    """Makes training examples from parsed documents.

    Args:
        documents_dir: Folder with `blocks.parquet` and `documents.parquet`.
        train_path: Gets the training examples, JSON Lines; likewise the next two.
        validation_path: Gets the examples that decide when training stops.
        test_path: Gets the examples that the model is judged by.
        manifest_path: Gets what went where and why, JSON.
        card_path: Gets the dataset card, Markdown.
        options: Settings; None for the defaults.
        tokenizer: The base model's, as a folder or an object, to count tokens with; None estimates.

    Raises:
        DatasetError: The input is missing or wrong, there is too little text for three splits, or
            the teacher cannot be reached.
    """
    options = options or DatasetOptions()
    counter = TokenCounter(tokenizer)
    corpus = read_corpus(documents_dir)
    views = view_documents(corpus, counter, options)
    removed = Removals()
    examples = _make_examples(views, options, counter, removed)
    division, removed = _divide(views, _capped(examples, options, removed), options, removed)
    paths = {"train": train_path, "validation": validation_path, "test": test_path}
    with ExitStack() as stack:
        temporary = {side: stack.enter_context(atomic_path(paths[side])) for side in SIDES}
        for side in SIDES:
            _write_rows(temporary[side], division.sides[side])
        digests = {side: digest_file(temporary[side]) for side in SIDES}
        manifest = manifest_of(views, corpus, division, removed, options, counter, digests)
        text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
        stack.enter_context(atomic_path(manifest_path)).write_text(text, encoding="utf-8")
        card = write_card(manifest, division.sides, counter)
        stack.enter_context(atomic_path(card_path)).write_text(card, encoding="utf-8")
    counts = {side: len(division.sides[side]) for side in SIDES}
    return DatasetSummary(
        examples=sum(counts.values()),
        **counts,
        kinds=manifest["kinds"],
        duplicates_removed=removed.exact,
        near_duplicates_removed=removed.near,
        filtered=dict(sorted(removed.filtered.items())),
        digest=digest_value(digests),
        split_by=division.level,
    )


def _make_examples(
    views: list[View], options: DatasetOptions, counter: TokenCounter, removed: Removals
) -> list[Example]:
    """Returns the cleaned examples of all documents, in their order."""
    generators: list[ExampleGenerator] = [RuleGenerator()]
    if options.teacher == "gemini":
        from doctune.dataset.teacher import GeminiGenerator

        generators.append(GeminiGenerator(options, removed.filtered))
    examples: list[Example] = []
    facts = 0
    with progress("Making examples", len(views), "documents") as bar:
        for view in views:
            made = [fact for generator in generators for fact in generator.generate(view)]
            clean = list(filter_facts(made, options, counter, removed.filtered))
            ranks = [
                stable_hash(options.seed, view.document.doc_id, fact.questions[0]) for fact in clean
            ]
            clean = limit_kinds(clean, ranks, removed.filtered)
            deduplicator = Deduplicator(options.near_duplicate_threshold)
            for fact in clean:
                questions = deduplicator.admit(fact, view.document.key)
                examples += _examples_of(replace(fact, questions=questions), view, facts)
                facts += 1
            removed.add(deduplicator)
            bar.advance(note=f"{len(examples)} examples")
    if not examples:
        raise DatasetError(
            "No training example could be made from these documents: they hold too little "
            "running text. Add PDFs with text, or set teacher=gemini."
        )
    return examples


def _examples_of(fact: Fact, view: View, number: int) -> list[Example]:
    return [
        Example(
            question=question,
            answer=fact.answer,
            kind=fact.kind,
            passage=fact.passage,
            pages=fact.pages,
            heading=fact.heading,
            doc_id=view.document.doc_id,
            file=view.document.source,
            block=fact.block,
            fact=number,
        )
        for question in fact.questions
    ]


def _capped(examples: list[Example], options: DatasetOptions, removed: Removals) -> list[Example]:
    """Keeps at most `max_examples`, the same share of each document."""
    limit = options.max_examples
    if limit is None or len(examples) <= limit:
        return examples
    by_document: dict[str, list[Example]] = {}
    for example in examples:
        by_document.setdefault(example.doc_id, []).append(example)
    ranked = []
    for doc_id, own in by_document.items():
        own.sort(key=lambda example: stable_hash(options.seed, doc_id, example.question))
        ranked += [((rank + 0.5) / len(own), doc_id, one) for rank, one in enumerate(own)]
    ranked.sort(key=lambda entry: entry[:2])
    kept = {id(example) for _, _, example in ranked[:limit]}
    removed.filtered["over_max_examples"] += len(examples) - limit
    return [example for example in examples if id(example) in kept]


def _divide(
    views: list[View], examples: list[Example], options: DatasetOptions, removed: Removals
) -> tuple[Division, Removals]:
    """Divides at the coarsest level at which no side stays empty."""
    for level in _LEVELS:
        unit_of = _unit_namer(views, level)
        members: dict[str, list[Example]] = {}
        for example in examples:
            members.setdefault(unit_of(example), []).append(example)
        if len(members) < _LEAST_GROUPS[level]:
            continue
        texts = _unit_texts(views, level, members)
        units = [Unit(key, len(own)) for key, own in members.items()]
        groups = group_units(units, texts.__getitem__)
        if len(groups) < _LEAST_GROUPS[level]:
            continue
        for attempt in range(_ATTEMPTS):
            side_of = assign_sides(groups, options, attempt)
            tally = replace(removed, filtered=Counter(removed.filtered))
            sides = _guarded(examples, unit_of, side_of, options, tally)
            if all(sides.values()):
                together = tuple(
                    tuple(unit.key for unit in group) for group in groups if len(group) > 1
                )
                return Division(level, sides, side_of, together), tally
    raise DatasetError(
        f"{len(examples)} examples from {len(views)} documents are too few for train, validation "
        "and test: add documents, best three or more that differ."
    )


def _unit_namer(views: list[View], level: str) -> Any:
    """Returns the function from an example to the key of its unit."""
    if level == "document":
        return lambda example: example.doc_id
    if level == "passage":
        return lambda example: f"{example.doc_id}#{stable_hash(example.passage):016x}"
    marks: dict[str, tuple[list[int], list[int]]] = {}
    for view in views:
        if level == "section":
            starts = [section.start for section in view.sections]
            numbers = [section.top for section in view.sections]
        else:
            starts = [chunk.block for chunk in view.chunks]
            numbers = [chunk.number for chunk in view.chunks]
        marks[view.document.doc_id] = (starts, numbers)

    def name(example: Example) -> str:
        starts, numbers = marks[example.doc_id]
        at = max(0, bisect_right(starts, example.block) - 1)
        return f"{example.doc_id}#{level}-{numbers[at]}"

    return name


def _unit_texts(views: list[View], level: str, members: dict[str, list[Example]]) -> dict[str, str]:
    """Returns the text that tells whether two units are near copies."""
    if level == "document":
        return {
            view.document.key: "\n".join(block.text for block in view.document.blocks)
            for view in views
        }
    return {
        key: "\n".join(dict.fromkeys(example.passage for example in own))
        for key, own in members.items()
    }


def _guarded(
    examples: list[Example],
    unit_of: Any,
    side_of: dict[str, str],
    options: DatasetOptions,
    removed: Removals,
) -> dict[str, tuple[Example, ...]]:
    """Returns the examples of each side without those that an earlier side gives away."""
    by_side: dict[str, list[Example]] = {side: [] for side in SIDES}
    for example in examples:
        by_side[side_of[unit_of(example)]].append(example)
    deduplicator = Deduplicator(options.near_duplicate_threshold)
    guard = SideGuard()
    kept: dict[str, tuple[Example, ...]] = {}
    for side in SIDES:
        own = _without_copies(by_side[side], deduplicator, unit_of)
        admitted = [example for example in own if guard.admit(example)]
        removed.filtered["sentence_on_another_side"] += len(own) - len(admitted)
        guard.next_side()
        kept[side] = tuple(admitted)
    removed.add(deduplicator)
    removed.filtered += Counter()  # drops the reasons that never occurred
    return kept


def _without_copies(
    examples: list[Example], deduplicator: Deduplicator, unit_of: Any
) -> list[Example]:
    by_fact: dict[int, list[Example]] = {}
    for example in examples:
        by_fact.setdefault(example.fact, []).append(example)
    kept = []
    for own in by_fact.values():
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
        admitted = set(deduplicator.admit(fact, unit_of(first)))
        kept += [example for example in own if example.question in admitted]
    return kept


def _write_rows(path: Path, examples: tuple[Example, ...]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for example in examples:
            file.write(json.dumps(example.as_row(), ensure_ascii=False) + "\n")
