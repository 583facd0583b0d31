"""Citations: matches each sentence to the passage that supports it, and numbers the sources."""

from __future__ import annotations

import re
from collections.abc import Sequence

from doctune.agent.messages import Citation
from doctune.dataset.text import sentences
from doctune.knowledge import Source
from doctune.knowledge.lexical import tokens

_LEAST_SHARED = 0.5  # share of a sentence's words that a passage must contain to support it
_MARK = re.compile(r"\s?\[(?:\d+(?:,\s*)?)+\]")
_ENDING = re.compile(r"([.!?]*[\"')\]]*)\s*$")
_LINK = re.compile(
    r"\[([^\]]*)\]\([^)]*\)|<?\b(?:https?|javascript|data):[^\s>)]*>?", re.IGNORECASE
)


def cite(
    text: str, places: Sequence[Source], *, always: bool = True
) -> tuple[str, tuple[Citation, ...]]:
    """Returns a text with citation marks, and its sources, numbered in order of first mention.

    Marks already in the text are removed: only what a passage supports is cited. Links are removed
    too, except those that a passage contains: an answer may lead only to its sources.

    Args:
        always: Whether to cite the best passage if none shares enough words with the text.
    """
    text = without_links(without_marks(text), places)
    order: list[Source] = []
    lines = []
    for line in text.split("\n"):
        marked = []
        for sentence in sentences(line) or [line]:
            best = _supporting(sentence, places)
            if best is None:
                marked.append(sentence)
                continue
            if best not in order:
                order.append(best)
            marked.append(_with_mark(sentence, order.index(best) + 1))
        lines.append(_joined(marked))
    if always and not order and places:
        # Too short to share words ("16 metres per second."): the best passage is cited.
        order.append(places[0])
        lines[-1] = _with_mark(lines[-1], 1)
    return "\n".join(lines), tuple(
        Citation(number, source) for number, source in enumerate(order, 1)
    )


def without_marks(text: str) -> str:
    """Removes citation marks such as `[1]` from a text."""
    return _MARK.sub("", text)


def without_links(text: str, places: Sequence[Source]) -> str:
    """Removes links that appear in none of the passages."""

    def kept(match: re.Match[str]) -> str:
        if any(match[0] in one.text for one in places):
            return match[0]
        return match[1] or ""

    return _LINK.sub(kept, text)


def _with_mark(sentence: str, number: int) -> str:
    return _ENDING.sub(lambda end: f" [{number}]{end[1]}", sentence, count=1)


def _joined(marked: Sequence[str]) -> str:
    """Joins sentences into a line; in a run with the same mark, only the last keeps it."""
    kept = list(marked)
    for at in range(len(kept) - 1):
        here, after = _MARK.search(kept[at]), _MARK.search(kept[at + 1])
        if here and after and here[0] == after[0]:
            kept[at] = _MARK.sub("", kept[at])
    return " ".join(kept)


def _supporting(sentence: str, places: Sequence[Source]) -> Source | None:
    wanted = set(tokens(sentence)) - {"yes", "no"}
    if not wanted:
        return None
    best, shared = None, 0.0
    for one in places:
        held = set(tokens(" ".join([one.title, *one.heading, one.text])))
        share = len(wanted & held) / len(wanted)
        if share > shared:
            best, shared = one, share
    return best if shared >= _LEAST_SHARED else None
