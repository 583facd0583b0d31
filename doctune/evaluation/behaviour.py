"""Behaviour metrics: refusals, repetition, answer length, faithfulness to a passage.

These are heuristics that need no model. Faithfulness is the share of what the answer *adds to the
question* that is in the source passage: its content words, by their Porter stems, and its numbers,
each of which counts as three words because a wrong number is a wrong answer. It catches invented
names, parts and figures, but not true words in a false statement.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

REFUSALS = re.compile(
    r"^\W*(i['\u2019]?m sorry|i am sorry|sorry\b|unfortunately\b|i apologi[sz]e|as an ai\b"
    r"|i (can['\u2019]?t|cannot|can not|am unable|am not able|do not have|don['\u2019]?t have"
    r"|do not know|don['\u2019]?t know|am not sure)\b)",
    re.IGNORECASE,
)
REPEATED_WORDS, REPEATED_TIMES = 4, 3
NUMBER_WEIGHT = 3

_WORD = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+")
_LEAST_LETTERS = 3
_STOP_TEXT = (
    "about after all also and any are because been before being between both but can could did "
    "does doing down during each few for from further had has have having her here hers him his "
    "how into its itself just may might more most must nor not now off once only other our out "
    "over own same shall she should some such than that the their them then there these they this "
    "those through too under until upon use used using very was were what when where which while "
    "who whom why will with would you your"
)
_STOP_WORDS = frozenset(_STOP_TEXT.split())


def is_refusal(answer: str) -> bool:
    """Returns whether an answer begins with a refusal; an empty one counts as refusal."""
    return not answer.strip() or bool(REFUSALS.match(answer))


def is_repetitive(answer: str) -> bool:
    """Returns whether a run of four words occurs three times or more."""
    words = [word.lower() for word in _WORD.findall(answer)]
    runs = Counter(zip(*(words[start:] for start in range(REPEATED_WORDS)), strict=False))
    return any(count >= REPEATED_TIMES for count in runs.values())


def count_words(answer: str) -> int:
    """Returns the number of words and numbers in an answer."""
    return len(_WORD.findall(answer))


def faithfulness(answer: str, question: str, passage: str) -> float | None:
    """Returns the share of what an answer adds to the question that is in the passage.

    Returns:
        From 0 to 1; None if there is no passage, or if the answer adds nothing.
    """
    if not passage.strip():
        return None
    asked, said = _terms(question), _terms(passage)
    added = _terms(answer) - asked
    if not added:
        return None
    weights = {term: NUMBER_WEIGHT if term[0].isdigit() else 1 for term in added}
    return sum(weights[term] for term in added & said) / sum(weights.values())


def unsupported_terms(answer: str, question: str, passage: str) -> list[str]:
    """Returns the words and numbers of an answer that are in neither question nor passage."""
    known = _terms(question) | _terms(passage)
    return sorted({word for word in _content_words(answer) if stem_word(word) not in known})


def _terms(text: str) -> set[str]:
    return {stem_word(word) for word in _content_words(text)}


def _content_words(text: str) -> Sequence[str]:
    return [
        word
        for word in (found.lower() for found in _WORD.findall(text))
        if word[0].isdigit() or (len(word) >= _LEAST_LETTERS and word not in _STOP_WORDS)
    ]


@lru_cache(maxsize=65536)
def stem_word(word: str) -> str:
    from nltk.stem.porter import PorterStemmer

    if word[0].isdigit():
        return word.replace(",", "").rstrip(".")
    return PorterStemmer().stem(word)
