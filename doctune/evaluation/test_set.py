"""Reads the test set: chat examples, validated line by line, with a digest."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from doctune.digests import digest_file
from doctune.errors import EvaluationError
from doctune.files import text_lines

Message = dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Example:
    """A question with its reference answer and its source."""

    index: int  # 0-based line of the file
    prompt: tuple[Message, ...]
    reference: str
    kind: str
    passage: str
    source: Mapping[str, Any]
    fact: str = ""  # examples with the same one are phrasings of one fact

    @property
    def question(self) -> str:
        """The last message of the user."""
        return self.prompt[-1]["content"]

    @property
    def document(self) -> str:
        """The name of the source document, or its id, or "" when unknown."""
        return str(self.source.get("file") or self.source.get("doc_id") or "")


@dataclass(frozen=True, kw_only=True)
class TestSet:
    """The examples to score, and the digest of the whole file."""

    __test__ = False  # keeps pytest from collecting it as a test class

    examples: tuple[Example, ...]
    digest: str
    caps: tuple[str, ...] = ()  # the limits that left out examples


def load_test_set(path: Path, *, max_examples: int | None = None, seed: int = 0) -> TestSet:
    """Reads a JSONL file of chat examples.

    Args:
        max_examples: Maximum number of examples, sampled with `seed` in file order.

    Raises:
        EvaluationError: The file is missing, empty, or a line is not a chat example.
    """
    examples = list(read_examples(path))
    caps: tuple[str, ...] = ()
    if max_examples is not None and max_examples < len(examples):
        caps = (
            f"{max_examples:,} of {len(examples):,} test examples were scored "
            "(evaluation.max_examples)",
        )
        drawn = np.random.default_rng(seed).choice(len(examples), max_examples, replace=False)
        examples = [examples[position] for position in sorted(drawn)]
    return TestSet(examples=tuple(examples), digest=digest_file(path), caps=caps)


def read_examples(path: Path) -> Iterator[Example]:
    """Yields the examples of a JSONL file, one at a time.

    Raises:
        EvaluationError: As `load_test_set`.
    """
    if not path.is_file():
        raise EvaluationError(f"{path}: no such test set; prepare_dataset writes one.")
    number = 0
    try:
        for number, line in text_lines(path):
            yield _example(path, number - 1, line)
    except UnicodeDecodeError as error:
        raise EvaluationError(f"{path} is not UTF-8 text: {error.reason}.") from error
    if not number:
        raise EvaluationError(f"{path} holds no examples: give the dataset more documents.")


def _example(path: Path, index: int, line: str) -> Example:
    where = f"{path}, line {index + 1}"
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise EvaluationError(f"{where} is not JSON: {error.msg}.") from error
    messages = row.get("messages") if isinstance(row, dict) else None
    if not isinstance(messages, list) or len(messages) < 2:
        raise EvaluationError(f'{where}: "messages" must hold a user\'s turn and its answer.')
    for message in messages:
        if not isinstance(message, dict) or not all(
            isinstance(message.get(key), str) for key in ("role", "content")
        ):
            raise EvaluationError(f'{where}: each message needs a text "role" and "content".')
    if messages[-1]["role"] != "assistant" or messages[-2]["role"] != "user":
        raise EvaluationError(f"{where}: the last messages must be the user's and the assistant's.")
    if not messages[-1]["content"].strip():
        raise EvaluationError(f"{where}: the assistant's answer is empty.")
    source = row.get("source")
    return Example(
        index=index,
        prompt=tuple({"role": m["role"], "content": m["content"]} for m in messages[:-1]),
        reference=messages[-1]["content"],
        kind=str(row.get("kind") or ""),
        passage=str(row.get("passage") or ""),
        source=source if isinstance(source, dict) else {},
        fact=str(row.get("fact") or ""),
    )
