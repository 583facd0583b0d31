"""Question phrases in each language, and detection of a document's language.

English has many more forms (`english.py`). The other languages quote headings and cells verbatim,
so that they need no inflection. A language without an entry uses a neutral form, which consists
only of the document's own words and punctuation.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from doctune.dataset.lexicon import lexicon
from doctune.dataset.records import Document
from doctune.dataset.text import words


@dataclass(frozen=True)
class Phrases:
    """Templates: {doc} the document's name, {topic} a heading, {row} and {column} of a table,
    {value} a cell, {text} the beginning of a passage."""

    section: tuple[str, ...]
    cell: tuple[str, ...]
    cell_answer: str
    completion: tuple[str, ...]
    quotes: str  # what a document's title stands in


_LATIN_LANGUAGES = ("en", "de", "fr", "es", "it", "pt", "nl")
_SAMPLE_CHARACTERS = 20_000


@cache
def _all_phrases() -> dict[str, Phrases]:
    path = Path(__file__).with_name("phrases.json")
    entries = json.loads(path.read_text(encoding="utf-8"))
    return {
        language: Phrases(
            section=tuple(entry["section"]),
            cell=tuple(entry["cell"]),
            cell_answer=entry["cell_answer"],
            completion=tuple(entry["completion"]),
            quotes=entry["quotes"],
        )
        for language, entry in entries.items()
    }


def phrases_for(language: str) -> Phrases:
    """Returns the templates of a language by its two-letter code."""
    return _all_phrases().get(language, _all_phrases()[""])


def language_of(document: Document) -> str:
    """Returns the two-letter code of a document's language.

    The parser's result is used, or else a guess from script and frequent words; "" if unknown.
    """
    if re.fullmatch(r"[a-z]{2}", document.language):
        return document.language
    sample = ""
    for block in document.blocks:
        sample += f" {block.text}"
        if len(sample) > _SAMPLE_CHARACTERS:
            break
    return _guess(sample)


def _guess(sample: str) -> str:
    letters = sum(map(str.isalpha, sample))
    if not letters:
        return ""
    for language, pattern in (
        ("ja", "[\u3040-\u30ff]"),
        ("zh", "[\u4e00-\u9fff]"),
        ("ko", "[\uac00-\ud7af]"),
        ("ru", "[\u0400-\u04ff]"),
    ):
        if len(re.findall(pattern, sample)) > 0.2 * letters:
            return language
    found = [word.casefold() for word in words(sample)]
    votes = {
        language: sum(word in lexicon(f"stop_words_{language}") for word in found)
        for language in _LATIN_LANGUAGES
    }
    best = max(votes, key=lambda language: votes[language])
    return best if votes[best] > 0.05 * len(found) else ""
