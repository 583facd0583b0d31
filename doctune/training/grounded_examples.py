"""Grounded examples: questions that are answered from passages shown with them (RAFT).

Of a share of the learnt facts one phrasing is asked again with the passages that the index really
returns for it, in any order, and its answer names the passage that it stands on: "... 180 days
[2]." One in ten is shown without that passage, and the answer is that the documents do not say. The
prompt is that of evaluation and serving, written by one function, whose version is in each row.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from doctune.dataset.lexicon import lexicon
from doctune.dataset.options import DatasetOptions
from doctune.dataset.text import normalise, stable_hash
from doctune.dataset.tokens import TokenCounter
from doctune.digests import digest_file
from doctune.errors import DatasetError
from doctune.files import atomic_path, text_lines
from doctune.knowledge import FoundPassage, KnowledgeIndex
from doctune.knowledge.prompt import (
    PROMPT_VERSION,
    REFUSAL,
    SHOWN,
    grounded_prompt,
    prompt_passage,
)
from doctune.progress import progress

GROUNDED = "grounded"
_ASKED = 8  # passages of the index among which distractors are looked for
_HOLDS = 0.7  # share of an answer's words from which a passage answers
_SPARE_TOKENS = 16  # of the chat template around prompt and answer

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class GroundedSummary:
    """What was added, and what was not.

    Attributes:
        examples: Those in all, the closed-book ones among them.
        grounded: Those with passages.
        without_truth: Of these, those whose answer is that the documents do not say.
        too_long: Facts whose passage does not fit `max_length`.
        not_found: Facts whose passage the index does not hold.
    """

    examples: int
    grounded: int
    without_truth: int
    too_long: int
    not_found: int
    digest: str


def add_grounded_examples(
    train_path: Path,
    index_dir: Path,
    out_path: Path,
    options: DatasetOptions | None = None,
    *,
    max_length: int,
    tokenizer: Any = None,
) -> GroundedSummary:
    """Writes a training set with grounded examples beside its own.

    Args:
        train_path: JSONL of `prepare_dataset`; its rows are kept as they are, in their order.
        index_dir: The index of the same documents.
        options: `grounded_share`, `grounded_without_truth` and `seed`; None for the defaults.
        max_length: Most tokens of an example in training; fewer passages are shown to keep to it.
        tokenizer: As `prepare_dataset` takes it.

    Raises:
        DatasetError: The training set is missing or no JSONL of examples.
        StorageError: There is no index.
    """
    chosen = options or DatasetOptions()
    rows = _read(train_path)
    picked = _pick(rows, chosen)
    index = KnowledgeIndex(index_dir)
    fits = _fitter(TokenCounter(tokenizer), max_length)
    made: list[Row] = []
    counts = {"without_truth": 0, "too_long": 0, "not_found": 0}
    with progress("Adding passages", len(picked), "examples") as bar:
        for row in picked:
            outcome = _grounded(row, index, chosen, fits)
            if isinstance(outcome, str):
                counts[outcome] += 1
            else:
                made.append(outcome)
                counts["without_truth"] += outcome["messages"][-1]["content"] == REFUSAL
            bar.advance()
    with atomic_path(out_path) as temporary:
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in [*rows, *made])
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return GroundedSummary(
        examples=len(rows) + len(made), grounded=len(made), digest=digest_file(out_path), **counts
    )


def _read(path: Path) -> list[Row]:
    try:
        rows = [json.loads(line) for _, line in text_lines(path)]
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path} cannot be read as JSONL: {error}.") from error
    if not rows or not all(isinstance(row, dict) and row.get("messages") for row in rows):
        raise DatasetError(f"{path} holds no examples: give the train set of prepare_dataset.")
    return rows


def _pick(rows: Sequence[Row], options: DatasetOptions) -> list[Row]:
    """Returns one phrasing of each chosen fact; a fact is chosen by the seed and its own name."""
    one_each: dict[str, Row] = {}
    for row in rows:
        # A passage to continue is no question, and an outline stands in no passage.
        if row.get("kind") not in ("completion", "outline") and row.get("passage"):
            one_each.setdefault(str(row.get("fact") or row["messages"][0]["content"]), row)
    order = sorted(one_each, key=lambda name: stable_hash("grounded", options.seed, name))
    wanted = round(options.grounded_share * len(rows))
    kept = set(order[:wanted])
    return [row for name, row in one_each.items() if name in kept]


def _fitter(counter: TokenCounter, max_length: int) -> Callable[[str, str], bool]:
    return lambda prompt, answer: (
        counter.count(prompt) + counter.count(answer) + _SPARE_TOKENS <= max_length
    )


def _grounded(
    row: Row, index: KnowledgeIndex, options: DatasetOptions, fits: Callable[[str, str], bool]
) -> Row | str:
    """Returns the grounded example of a row, or why there is none."""
    question, answer = row["messages"][0]["content"], row["messages"][-1]["content"]
    name = str(row.get("fact") or question)
    found = index.search(question, _ASKED)
    truth = next(_answering(row, answer, [*found, *_of_pages(row, index)]), None)
    if truth is None:
        return "not_found"
    distractors = [one for one in found if not _holds(one, answer) and one.text != truth.text]
    chance = stable_hash("without truth", options.seed, name) % 1000
    without = chance < options.grounded_without_truth * 1000 and len(distractors) >= SHOWN
    for count in range(SHOWN, 0, -1):
        shown = distractors[:count] if without else [truth, *distractors[: count - 1]]
        shown.sort(key=lambda one: stable_hash("order", options.seed, name, one.text))
        prompt = grounded_prompt(question, [prompt_passage(one) for one in shown])
        said = REFUSAL if without else _citing(answer, shown.index(truth) + 1)
        if fits(prompt, said):
            return _row(row, prompt, said)
    return "too_long"


def _row(row: Row, prompt: str, answer: str) -> Row:
    messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
    return {**row, "messages": messages, "kind": GROUNDED, "prompt_version": PROMPT_VERSION}


def _citing(answer: str, number: int) -> str:
    """Returns an answer that names its passage: before the full stop of its last sentence."""
    plain = answer.rstrip()
    stop = plain[-1:] if plain.endswith((".", "!", "?")) else ""
    return f"{plain.removesuffix(stop) if stop else plain} [{number}]{stop}"


def _answering(row: Row, answer: str, found: Sequence[FoundPassage]) -> Iterator[FoundPassage]:
    """Yields the passages of the row's own pages that hold its answer."""
    source = row.get("source") or {}
    pages = set(source.get("pages") or ())
    for one in found:
        if one.file == source.get("file") and pages & set(one.pages) and _holds(one, answer):
            yield one


def _of_pages(row: Row, index: KnowledgeIndex) -> list[FoundPassage]:
    """Returns what the index finds for the row's own passage, where the question does not."""
    return index.search(str(row["passage"])[:300], _ASKED)


def _holds(one: FoundPassage, answer: str) -> bool:
    said = set(normalise(one.text).split())
    wanted = set(normalise(answer).split()) - lexicon("small_words")
    figures = {word for word in wanted if any(map(str.isdigit, word))}
    if not figures <= said:
        return False
    return len(wanted & said) >= _HOLDS * len(wanted)
