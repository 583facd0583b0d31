"""The data set card, in Markdown: what a user should know before training on the data.

It begins with the YAML front matter of the Hugging Face hub.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from doctune.dataset.records import Example
from doctune.dataset.splitting import SIDES
from doctune.dataset.text import collapse, stable_hash
from doctune.dataset.tokens import TokenCounter

_KINDS = {
    "section": "What a document says under a heading",
    "definition": "What a term, thing or abbreviation is",
    "fact": "What one sentence states: an amount, a time, a condition",
    "how_to": "How to do something, from one sentence",
    "steps": "A procedure, whole or one step of it",
    "list": "What a list enumerates",
    "table": "A cell or row of a table, as a sentence",
    "faq": "A question that the document itself asks",
    "outline": "Which topics a document or chapter covers",
    "completion": "How a passage goes on",
    "teacher": "Written by the teacher model from a passage",
}
_REASONS = {
    "too_short": "answer without words",
    "too_long": "answer over the token limit",
    "question_too_long": "question over the token limit",
    "garbled": "unreadable characters",
    "symbols": "too many symbols",
    "too_many_table": "more table questions than the rest of the document can balance",
    "too_many_completion": "more passages to continue than the rest can balance",
    "question_with_two_answers": "the same question already had another answer",
    "sentence_on_another_side": "holds a sentence that an earlier split holds",
    "over_max_examples": "over max_examples",
    "teacher_malformed": "teacher's answer was not the JSON asked for",
    "teacher_unsupported": "teacher's answer holds a number that its passage does not",
}
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (10**6, "100K<n<1M"))
_SHOWN_SOURCES = 200
_SHOWN_EXAMPLES = 6


def write_card(
    manifest: dict[str, Any], sides: dict[str, tuple[Example, ...]], counter: TokenCounter
) -> str:
    """Returns the card of a data set."""
    total = sum(map(len, sides.values()))
    parts = [
        _head(manifest, total),
        "# Questions and answers from documents\n",
        _what(manifest, total),
        _counts(sides),
        _lengths(sides, counter, manifest["tokenizer"]),
        _how(manifest),
        _removals(manifest),
        _samples(sides),
        _sources(manifest),
        _limits(manifest),
    ]
    return "\n".join(parts)


def _head(manifest: dict[str, Any], total: int) -> str:
    languages = sorted({entry["language"] for entry in manifest["documents"] if entry["language"]})
    size = next((name for limit, name in _SIZES if total < limit), "n>1M")
    lines = ["---"]
    if languages:
        lines += ["language:", *(f"- {language}" for language in languages)]
    lines += ["task_categories:", "- question-answering", "- text-generation"]
    lines += [
        "size_categories:",
        f"- {size}",
        "configs:",
        "- config_name: default",
        "  data_files:",
    ]
    for side in SIDES:
        lines += [f"  - split: {side}", f"    path: {side}.jsonl"]
    return "\n".join([*lines, "---", ""])


def _what(manifest: dict[str, Any], total: int) -> str:
    documents = manifest["documents"]
    pages = sum(entry["pages"] for entry in documents)
    return (
        f"{total:,} chat examples from {len(documents):,} documents ({pages:,} pages). Each line "
        "is one JSON object: `messages` (a question, its answer), `source` (document, pages, "
        "file, heading), `kind`, and the `passage` that the answer was taken from.\n\n"
        f"{manifest['note']}\n"
    )


def _counts(sides: dict[str, tuple[Example, ...]]) -> str:
    by_side = {side: Counter(example.kind for example in sides[side]) for side in SIDES}
    kinds = sorted({kind for counts in by_side.values() for kind in counts})
    rows = [
        [kind, _KINDS.get(kind, ""), *(f"{by_side[side][kind]:,}" for side in SIDES)]
        for kind in kinds
    ]
    rows.append(["**all**", "", *(f"**{len(sides[side]):,}**" for side in SIDES)])
    return "## Examples by kind and split\n\n" + _table(["kind", "what", *SIDES], rows)


def _lengths(sides: dict[str, tuple[Example, ...]], counter: TokenCounter, tokenizer: str) -> str:
    rows = []
    for side in SIDES:
        for name in ("question", "answer"):
            sizes = sorted(counter.count(getattr(example, name)) for example in sides[side])
            quantiles = [sizes[int(share * (len(sizes) - 1))] for share in (0.05, 0.5, 0.95, 1.0)]
            rows.append([side, name, *map(str, quantiles), f"{sum(sizes):,}"])
    counted = (
        "Estimated without a tokenizer." if tokenizer == "estimate" else f"Counted by {tokenizer}."
    )
    header = ["split", "text", "5%", "median", "95%", "longest", "all"]
    return f"## Lengths in tokens\n\n{counted}\n\n" + _table(header, rows)


def _how(manifest: dict[str, Any]) -> str:
    settings = manifest["settings"]
    teacher = (
        f" {settings['teacher_model']} wrote further pairs from each chunk."
        if settings["teacher"] != "none"
        else " No model took part: every answer is the documents' own wording, or a cell of a "
        "table in a sentence around it."
    )
    together = len(manifest["kept_together"])
    kept = f" {together} groups of near copies were kept on one side each." if together else ""
    return (
        "## How it was made\n\n"
        "Documents were cut into sections by their headings and into chunks of at most "
        f"{settings['chunk_tokens']} tokens. Rules made questions from headings, sentences, lists "
        f"and tables, with up to {settings['phrasings']} phrasings each.{teacher} The split aims "
        f"at {settings['validation_share']:.0%} validation and {settings['test_share']:.0%} test "
        f"examples; the seed is {settings['seed']}.{kept} The same documents and settings give the "
        f"same files. Digest: `{manifest['digest'][:16]}`.\n"
    )


def _removals(manifest: dict[str, Any]) -> str:
    removed = manifest["removed"]
    rows = [
        ["exact duplicates", f"{removed['duplicates']:,}"],
        ["near duplicates", f"{removed['near_duplicates']:,}"],
    ]
    rows += [
        [f"{_REASONS.get(reason, reason)} (`{reason}`)", f"{count:,}"]
        for reason, count in removed["filtered"].items()
    ]
    text = "## What was left out\n\n" + _table(["examples", "count"], rows)
    if manifest["blocks_left_out"]:
        listed = ", ".join(
            f"{count:,} of {reason.replace('_', ' ')}"
            for reason, count in manifest["blocks_left_out"].items()
        )
        text += f"\nBlocks of the documents not read: {listed}.\n"
    if manifest["copies_left_out"]:
        text += f"\nFiles that are copies of another: {', '.join(manifest['copies_left_out'])}.\n"
    return text


def _samples(sides: dict[str, tuple[Example, ...]]) -> str:
    first_of_kind: dict[str, Example] = {}
    for example in sorted(sides["train"], key=lambda one: stable_hash("card", one.question)):
        first_of_kind.setdefault(example.kind, example)
    shown = [first_of_kind[kind] for kind in sorted(first_of_kind)][:_SHOWN_EXAMPLES]
    rows = [
        [example.kind, _cell(example.question), _cell(example.answer), _cell(example.file)]
        for example in shown
    ]
    return "## Some examples\n\n" + _table(["kind", "question", "answer", "file"], rows)


def _sources(manifest: dict[str, Any]) -> str:
    documents = manifest["documents"]
    rows = [
        [
            _cell(entry["file"]),
            _cell(entry["title"]),
            str(entry["pages"]),
            entry["side"] or "no examples",
            f"{entry['examples']:,}",
            f"`{entry['doc_id'][:12]}`",
        ]
        for entry in documents[:_SHOWN_SOURCES]
    ]
    text = "## Sources\n\n" + _table(
        ["file", "title", "pages", "split", "examples", "sha256"], rows
    )
    if len(documents) > _SHOWN_SOURCES:
        text += f"\n{len(documents) - _SHOWN_SOURCES:,} more are in the manifest.\n"
    return text


def _limits(manifest: dict[str, Any]) -> str:
    limits = [
        "Questions follow fixed forms; people ask in more ways than these.",
        "Answers are as right as the documents, and as their text was read from the PDFs.",
        "Table questions are asked only of tables whose header and keys could be read with "
        "certainty; figures, formulas and images are not asked about.",
        "Personal or confidential text in the documents is in the examples too.",
    ]
    if manifest["split_by"] != "document":
        limits.insert(0, manifest["note"])
    return "## Limits\n\n" + "\n".join(f"- {limit}" for limit in limits) + "\n"


def _cell(text: str) -> str:
    text = collapse(text).replace("|", "\\|").replace("<", "&lt;")
    return text if len(text) <= 160 else text[:157] + "..."


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
