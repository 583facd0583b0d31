"""Finds passages that support a correction.

A passage supports a correction if it holds all of its numbers, most of its other words, and enough
of the question's words to be about the same thing. Words are compared by their stems. This is a
filter against invention, not a proof: who accepts by rules also needs people to agree.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from doctune.evaluation.wording import content_stems

_ANSWER_SHARE = 0.8
_QUESTION_SHARE = 0.5
_SAME_SHARE = 0.6
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


@dataclass(frozen=True)
class Passage:
    """A passage that can support a correction."""

    text: str
    file: str
    doc_id: str
    pages: tuple[int, ...]
    heading: str
    id: str = ""  # in the index


class PassageSupport:
    """The passages of an index, found by their words."""

    def __init__(self, passages: Iterable[Passage]) -> None:
        self.passages = list(passages)
        self._stems: list[frozenset[str]] = []
        self._numbers: list[frozenset[str]] = []
        self._holders: dict[str, set[int]] = defaultdict(set)
        for at, passage in enumerate(self.passages):
            shown = f"{passage.heading} {passage.text}"
            stems = frozenset(content_stems(shown))
            self._stems.append(stems)
            self._numbers.append(frozenset(_numbers(shown)))
            for stem in stems:
                self._holders[stem].add(at)

    @classmethod
    def of_index(cls, folder: Path) -> PassageSupport:
        """Returns the passages of an index.

        Raises:
            StorageError: There is no index in the folder.
        """
        from doctune.knowledge.store import read_passages, read_record

        read_record(folder)
        rows = read_passages(folder).to_pylist()
        return cls(
            Passage(
                text=str(row["text"]),
                file=str(row["source"]),
                doc_id=str(row.get("doc_id") or ""),
                pages=tuple(row["pages"]),
                heading=" > ".join(row["heading"]),
                id=str(row["id"]),
            )
            for row in rows
        )

    def find(self, question: str, answer: str) -> Passage | None:
        """Returns the passage that best supports an answer; None where none does."""
        numbers = frozenset(_numbers(answer))
        asked = frozenset(content_stems(question))
        wanted = _words(answer) - asked or _words(answer)
        if not (wanted or numbers):
            return None
        best: tuple[float, int] | None = None
        for at in self._candidates(asked | wanted):
            if not numbers <= self._numbers[at]:
                continue
            stems = self._stems[at]
            said = len(wanted & stems) / len(wanted) if wanted else 1.0
            about = len(asked & stems) / len(asked) if asked else 1.0
            if said >= _ANSWER_SHARE and about >= _QUESTION_SHARE:
                best = max(best or (0.0, -at), (said + about, -at))
        return None if best is None else self.passages[-best[1]]

    def _candidates(self, stems: frozenset[str]) -> set[int]:
        # A passage that fits holds half of these words, so that it holds one of the rarer half.
        known = sorted((self._holders[stem] for stem in stems if stem in self._holders), key=len)
        found: set[int] = set()
        for holders in known[: len(known) // 2 + 1]:
            found |= holders
        return found


def same_answer(question: str, one: str, other: str) -> bool:
    """Returns whether two answers to a question say the same, if in other words.

    Their numbers are the same, and most words of the shorter stand in the longer.
    """
    if frozenset(_numbers(one)) != frozenset(_numbers(other)):
        return False
    asked = frozenset(content_stems(question))
    first, second = (_words(text) - asked or _words(text) for text in (one, other))
    if not first or not second:
        return first == second
    return len(first & second) >= _SAME_SHARE * min(len(first), len(second))


def _words(text: str) -> frozenset[str]:
    return frozenset(stem for stem in content_stems(text) if not stem[0].isdigit())


def _numbers(text: str) -> list[str]:
    found = (number.replace(",", ".") for number in _NUMBER.findall(text))
    return [one.rstrip("0").rstrip(".") if "." in one else one for one in found]
