"""The manifest of a data set: documents, their splits, removals and settings."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from doctune.dataset.options import DatasetOptions
from doctune.dataset.records import Corpus
from doctune.dataset.splitting import SIDES
from doctune.dataset.tokens import TokenCounter
from doctune.dataset.view import View
from doctune.digests import digest_value

if TYPE_CHECKING:
    from doctune.dataset.division import Division, Removals

SCHEMA_VERSION = 1

_NOTES = {
    "document": "Split by document: no document has examples on two sides.",
    "chapter": (
        "Too few documents that differ: split by top-level section instead, so the sides may come "
        "from one document. Scores on the test split say less about unseen documents."
    ),
    "section": (
        "Too few documents and top-level sections: split by section instead, so the sides may come "
        "from one chapter. Scores on the test split say less about unseen documents."
    ),
    "chunk": (
        "Too few documents and sections: split by chunk instead, so the sides may come from one "
        "section. Scores on the test split say little about unseen documents."
    ),
    "passage": (
        "Too few documents, sections and chunks: split by passage instead. Scores on the test "
        "split say little about unseen documents."
    ),
}

_HELD_OUT = "Validation asks in phrasings that train does not hold about facts that it holds."


def manifest_of(
    views: list[View],
    corpus: Corpus,
    division: Division,
    removed: Removals,
    options: DatasetOptions,
    counter: TokenCounter,
    digests: dict[str, str],
) -> dict[str, Any]:
    """Returns the manifest as JSON values; paths and times stay out, so that it is stable."""
    counts = {view.document.doc_id: dict.fromkeys(SIDES, 0) for view in views}
    kinds: Counter[str] = Counter()
    for side in SIDES:
        for example in division.sides[side]:
            counts[example.doc_id][side] += 1
            kinds[example.kind] += 1
    skipped: Counter[str] = Counter()
    for view in views:
        skipped += view.skipped
    return {
        "schema_version": SCHEMA_VERSION,
        "digest": digest_value(digests),
        "split_by": division.level,
        "note": _note(division.level, options),
        "seed": options.seed,
        "settings": options.model_dump(),
        "tokenizer": counter.name,
        "splits": {
            side: {"examples": len(division.sides[side]), "sha256": digests[side]} for side in SIDES
        },
        "kinds": dict(sorted(kinds.items())),
        "removed": {
            "duplicates": removed.exact,
            "near_duplicates": removed.near,
            "filtered": dict(sorted(removed.filtered.items())),
        },
        "blocks_left_out": dict(sorted(skipped.items())),
        "kept_together": [list(group) for group in division.groups],
        "documents": [_entry(view, division, counts[view.document.doc_id]) for view in views],
        "copies_left_out": list(corpus.copies),
        "rejected": list(corpus.rejected),
    }


def _note(level: str, options: DatasetOptions) -> str:
    if options.validation == "documents":
        return _NOTES[level]
    return f"{_NOTES[level].replace('on two sides', 'in train and test')} {_HELD_OUT}"


def _entry(view: View, division: Division, counts: dict[str, int]) -> dict[str, Any]:
    held = [side for side in SIDES if counts[side]]
    if division.level == "document":
        side = division.side_of_unit.get(view.document.key)
    else:
        side = held[0] if len(held) == 1 else ("several" if held else None)
    return {
        "doc_id": view.document.doc_id,
        "file": view.document.source,
        "title": view.name.title,
        "language": view.document.language,
        "pages": view.document.pages,
        "side": side,
        "examples": sum(counts.values()),
        "examples_by_side": counts,
    }
