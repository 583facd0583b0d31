"""Finds numbers, names and dates of an answer that none of its passages contains.

Numbers are compared with their units, converted where units convert; names with a number in them
and part numbers by their letters; other names by their words. A name, unlike a number, may come
from the question: "the Nimbrel 7 needs ..." is no invention when the Nimbrel 7 was asked about.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from doctune.evaluation.quantities import read_names, read_quantities, without_names

_NAME = re.compile(r"(?<![.!?:\n] )(?<!^)(?<![\"'(\[\n])\b[A-Z][a-z]{2,}\b")
_WORD = re.compile(r"[^\W\d_]+")
_ENUMERATION = re.compile(r"^\s*\(?\d{1,2}[.)]\s", re.MULTILINE)
_MARK = re.compile(r"\s?\[\d+\]")
_NOT_NAMES = frozenset({"the", "yes", "no", "none", "not", "they", "this", "that", "and", "but"})


def unsupported(answer: str, question: str, passages: Sequence[str]) -> tuple[str, ...]:
    """Returns the numbers, names and dates that no passage contains, as the answer writes them."""
    said = _ENUMERATION.sub("", _MARK.sub("", answer))
    text = "\n".join(passages)
    known = read_quantities(text)
    missing = [
        quantity.text.strip()
        for quantity in read_quantities(said)
        if not any(quantity.same(other) for other in known)
    ]
    named = {_plain(name) for _, name in read_names(f"{text}\n{question}")}
    context = _plain(f"{text}\n{question}")
    missing += [
        name
        for _, name in read_names(said)
        if _plain(name) not in named and _plain(name) not in context
    ]
    words = {word.casefold() for word in _WORD.findall(f"{text}\n{question}")}
    missing += [
        name
        for name in _NAME.findall(without_names(said))
        if name.casefold() not in words | _NOT_NAMES and name.casefold().rstrip("s") not in words
    ]
    return tuple(dict.fromkeys(missing))


def _plain(text: str) -> str:
    return re.sub(r"[\s-]", "", text).casefold()
