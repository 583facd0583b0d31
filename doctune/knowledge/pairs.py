"""Pairs of a question and the unit that answers it, for tuning and measuring a retriever.

They come from the training examples made from the same documents. Questions of users and
evaluation questions are not among them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from doctune.digests import digest_value
from doctune.errors import DatasetError
from doctune.files import text_lines
from doctune.knowledge.index import KnowledgeIndex
from doctune.knowledge.lexical import tokens

_MOST_WORDS = 40  # of a question; a grounded prompt has its passages in it
_LEAST_SHARED = 0.6  # of an answer's words, for a unit to be what answers
_WHOLE_SECTIONS = frozenset({"section", "outline", "completion"})  # no question of a user's kind


@dataclass(frozen=True, slots=True)
class Pair:
    """A question, the row of the unit that answers it, and what tells facts apart."""

    question: str
    unit: int
    fact: str


def read_pairs(train_set: Path, index: KnowledgeIndex) -> list[Pair]:
    """Returns the questions of training examples with their units in an index.

    Raises:
        DatasetError: A line is not an example.
    """
    places: dict[str, list[int]] = {}
    for passage, file in enumerate(index.sources):
        places.setdefault(file, []).append(passage)
    words: dict[int, list[tuple[int, frozenset[str]]]] = {}
    pairs: dict[str, Pair] = {}
    for number, line in text_lines(train_set):
        question, answer, file, kind = _example(line, train_set, number)
        if kind in _WHOLE_SECTIONS or len(question.split()) > _MOST_WORDS or question in pairs:
            continue
        unit = _answering_unit(answer, places.get(file, []), index, words)
        if unit is not None:
            pairs[question] = Pair(question, unit, digest_value([file, answer]))
    return list(pairs.values())


def _example(line: str, path: Path, number: int) -> tuple[str, str, str, str]:
    try:
        row = json.loads(line)
        messages = {one["role"]: one["content"] for one in row["messages"]}
        file = str(row["source"].get("file", ""))
        return messages["user"], messages["assistant"], file, str(row.get("kind", ""))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(f"{path}, line {number} is not a chat example: {error}.") from error


def _answering_unit(
    answer: str,
    passages: list[int],
    index: KnowledgeIndex,
    words: dict[int, list[tuple[int, frozenset[str]]]],
) -> int | None:
    """Returns the shortest of the units that contain the most words of an answer."""
    wanted = frozenset(tokens(answer))
    best: tuple[float, int, int] | None = None
    for passage in passages:
        if passage not in words:
            first = index.first_unit(passage)
            words[passage] = [
                (first + at, frozenset(tokens(f"{unit.lead} {unit.text}")))
                for at, unit in enumerate(index.passage(passage).units)
            ]
        for row, said in words[passage]:
            shared = len(wanted & said) / len(wanted) if wanted else 0.0
            if shared >= _LEAST_SHARED and (best is None or (shared, -len(said)) > best[:2]):
                best = (shared, -len(said), row)
    return best[2] if best else None
