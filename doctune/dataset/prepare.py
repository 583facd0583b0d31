"""The data set stage: from parsed documents to three splits, a manifest and a card.

The rules (and the teacher, if configured) generate facts from each document. These are cleaned and
divided by document, so that no sentence is on two sides. A text that several documents share stays
in the training set: the model may learn it, and is never tested on it. The output does not depend
on time, chance or paths: the same input gives the same bytes. All five files are written to
temporary names and renamed together at the end.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from doctune.dataset.card import write_card
from doctune.dataset.cleaning import Deduplicator, drop_ambiguous, filter_facts, limit_kinds
from doctune.dataset.division import Removals, divide
from doctune.dataset.generator import ExampleGenerator, RuleGenerator
from doctune.dataset.manifest import manifest_of
from doctune.dataset.options import DatasetOptions
from doctune.dataset.records import Example, Fact, read_corpus
from doctune.dataset.splitting import SIDES
from doctune.dataset.text import stable_hash
from doctune.dataset.tokens import TokenCounter
from doctune.dataset.view import View, view_documents
from doctune.digests import digest_file, digest_value
from doctune.errors import DatasetError
from doctune.files import atomic_path
from doctune.progress import progress

OVER_MAX_EXAMPLES = "over_max_examples"


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
    kept_out: int = 0  # documents that are held out from the training set
    caps: tuple[str, ...] = ()  # which settings limited the data


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
    teacher_cache: Path | None = None,
) -> DatasetSummary:
    """Makes training examples from parsed documents.

    Args:
        documents_dir: Folder with `blocks.parquet` and `documents.parquet`.
        train_path: Output: the training examples, JSON Lines; likewise the next two.
        validation_path: Output: the examples for early stopping.
        test_path: Output: the examples for evaluation.
        manifest_path: Output: the manifest, JSON.
        card_path: Output: the data set card, Markdown.
        options: Settings; None for the defaults.
        tokenizer: The base model's tokenizer, as a folder or an object; None estimates counts.
        teacher_cache: Folder that caches the teacher's answers; None for doctune's cache.

    Raises:
        DatasetError: The input is missing or wrong, there is too little text for three splits, or
            the teacher cannot be reached.
    """
    options = options or DatasetOptions()
    counter = TokenCounter(tokenizer)
    corpus = read_corpus(documents_dir)
    views = view_documents(corpus, counter, options)
    removed = Removals()
    examples = _make_examples(views, options, counter, removed, teacher_cache)
    division, removed = divide(views, _capped(examples, options, removed), options, removed)
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
        kept_out=sum(
            entry["examples"] > 0 and not entry["examples_by_side"]["train"]
            for entry in manifest["documents"]
        ),
        caps=_caps(removed.filtered[OVER_MAX_EXAMPLES], len(examples)),
    )


def _make_examples(
    views: list[View],
    options: DatasetOptions,
    counter: TokenCounter,
    removed: Removals,
    teacher_cache: Path | None,
) -> list[Example]:
    """Returns the cleaned examples of all documents, in their order."""
    generators: list[ExampleGenerator] = [RuleGenerator()]
    if options.teacher == "gemini":
        from doctune.dataset.teacher import GeminiGenerator

        generators.append(GeminiGenerator(options, removed.filtered, cache=teacher_cache))
    examples: list[Example] = []
    facts = 0
    with progress("Making examples", len(views), "documents") as bar:
        for view in views:
            made = [fact for generator in generators for fact in generator.generate(view)]
            clean = list(filter_facts(made, options, counter, removed.filtered))
            ranks = [
                stable_hash(options.seed, view.document.doc_id, fact.questions[0]) for fact in clean
            ]
            clean = limit_kinds(clean, ranks, view.document.pages, removed.filtered)
            deduplicator = Deduplicator.of(options)
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
    return drop_ambiguous(examples, removed.filtered)


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


def _caps(left_out: int, made: int) -> tuple[str, ...]:
    if not left_out:
        return ()
    return (f"{made - left_out:,} of {made:,} examples were kept (dataset.max_examples)",)


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
    removed.filtered[OVER_MAX_EXAMPLES] += len(examples) - limit
    return [example for example in examples if id(example) in kept]


def _write_rows(path: Path, examples: tuple[Example, ...]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for example in examples:
            file.write(json.dumps(example.as_row(), ensure_ascii=False) + "\n")
