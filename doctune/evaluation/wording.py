"""English rules for comparing answers: clauses, stems, negation, yes or no."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from doctune.evaluation.behaviour import stem_word

Side = Literal["yes", "no"]

_NEGATOR_TEXT = (
    "not never no none nobody nothing neither nor cannot without avoid avoids avoided exclude "
    "excludes excluded excluding forbidden prohibited refuse refused instead except"
)
NEGATORS = frozenset(_NEGATOR_TEXT.split())
# A negation applies to at most this many following words of its clause.
_REACH = 5
# A stem of at least this length also matches compounds that begin with it ("cyberattack").
_PREFIX = 5
_YES = re.compile(r"^\W*(yes|yep|yeah|correct|certainly|of course|sure)\b", re.IGNORECASE)
_NO = re.compile(
    r"^\W*(nope\b|no\b(?=\W*$|\s*[,.;:!\u2013\u2014-])|(?:not|never|none)\b"
    r"(?!\s+(?:more|fewer|less|later|longer|earlier)\s+than))",
    re.IGNORECASE,
)
_OPENS_NO = re.compile(r"^\W*(nope|no)\b(?=\W*$|\s*[,.;:!\u2013\u2014-])", re.IGNORECASE)
_BOUNDS = re.compile(r"\s+(more|fewer|less|later|longer|earlier)\s+than\b", re.IGNORECASE)
_WORD = re.compile(r"no one\b|\d+(?:[.,]\d+)*|[^\W\d_]+(?:['\u2019][^\W\d_]+)?|&", re.IGNORECASE)
_CLAUSE = re.compile(
    r"(?<=[.!?;:])\s+|\n+|;\s*|,\s*(?=(?:but|and not|yet|though|with|because|for|so|since)\b)"
)
_SENTENCE = re.compile(r"(?<=[.!?;])\s+|\n+")
_STOP_TEXT = (
    "a an the and or but if of in on at to for from by with within into over under up down out as "
    "is are was were be been being am do does did done has have had can could may might must shall "
    "should will would it its this that these those there they them he she his her you your we our "
    "us i me my mine one ones so than then when while where which who whom what how why until till "
    "after before about around only just also too both each every all any some more most less "
    "least such same other at once per not no nor"
)
STOP_WORDS = frozenset(_STOP_TEXT.split())

_OPPOSITES = (
    (
        "rise rises rose risen grow grows grew grown increase increased gain gained climb",
        "fall falls fell fallen drop drops dropped decrease decreased decline declined shrink",
    ),
    ("open opens opened", "close closes closed shut shuts"),
    ("allow allowed permit permitted", "forbid forbidden prohibit prohibited ban banned"),
    ("cheaper", "dearer"),
    ("faster", "slower"),
    ("left", "right"),
)


@dataclass(frozen=True, slots=True)
class Word:
    """A word with its stem, and whether it is negated."""

    text: str
    stem: str
    negated: bool
    start: int


def stem(word: str) -> str:
    """Returns the stem of a word, or a number without its commas."""
    return stem_word(word)


def sentences(text: str) -> list[str]:
    """Returns the sentences of a text."""
    return [part for part in _SENTENCE.split(text) if part.strip()]


def clauses(text: str) -> list[tuple[int, str]]:
    """Returns the clauses of a text, with their positions."""
    found, start = [], 0
    for match in _CLAUSE.finditer(text):
        found.append((start, text[start : match.start()]))
        start = match.end()
    found.append((start, text[start:]))
    return [(begin, part) for begin, part in found if part.strip()]


def words_of(text: str) -> list[Word]:
    """Returns the words of a text, each with whether it is negated."""
    found: list[Word] = []
    for begin, clause in clauses(text):
        reach = 0
        for match in _WORD.finditer(clause):
            word = _plain(match[0])
            found.append(Word(word, stem(word), reach > 0, begin + match.start()))
            if _negates(word, clause[match.end() :]):
                reach = _REACH
            elif word in ("but", "only", "and", "it"):
                reach = 0
            else:
                reach -= 1
    return found


def content_stems(text: str) -> list[str]:
    """Returns the stems of the content words."""
    return [
        word.stem
        for word in words_of(text)
        if word.text not in STOP_WORDS and not _negates(word.text, "")
    ]


def is_negated(text: str) -> bool:
    """Returns whether a text contains a negation."""
    return any(_negates(_plain(match[0]), text[match.end() :]) for match in _WORD.finditer(text))


def side_of(answer: str, question: str) -> Side | None:
    """Returns whether an answer to a yes/no question means yes or no; None if neither.

    It may say yes or no, or repeat the question as a statement, with or without negation.
    """
    if _YES.match(answer):
        return "yes"
    if _NO.match(answer):
        return "no"
    asked = set(content_stems(question))
    best: tuple[int, Side] | None = None
    for _, clause in clauses(answer):
        shared = len(asked & set(content_stems(clause)))
        if shared and (best is None or shared > best[0]):
            best = shared, "no" if is_negated(clause) else "yes"
    if best is None and answer.strip():
        return "no" if is_negated(answer) else "yes"
    return best[1] if best else None


def opening_side(text: str) -> Side | None:
    """Returns the yes or no that a text begins with."""
    if _YES.match(text):
        return "yes"
    return "no" if _OPENS_NO.match(text) else None


def _plain(word: str) -> str:
    word = word.lower().replace("\u2019", "'")
    return "nobody" if word == "no one" else word


@cache
def _opposites() -> tuple[tuple[frozenset[str], ...], ...]:
    """Returns the stems of opposites, made when they are first used: the stemmer loads slowly."""
    return tuple(
        tuple(frozenset(stem_word(word) for word in side.split()) for side in pair)
        for pair in _OPPOSITES
    )


def opposes(answer: str, reference: str) -> bool:
    """Returns whether answer and reference have opposite words, such as rise and fall."""
    said, wanted = set(content_stems(answer)), set(content_stems(reference))
    for first, second in _opposites():
        for one, other in ((first, second), (second, first)):
            if wanted & one and not wanted & other and said & other and not said & one:
                return not (is_negated(answer) or is_negated(reference))
    return False


def _negates(word: str, rest: str) -> bool:
    if word in ("no", "not", "never") and _BOUNDS.match(rest):
        return False
    if word == "no" and re.match(r"\s*[,:]", rest):
        return False
    if word == "free":
        return bool(re.match(r"\s+(of|from)\b(?!\s+charge)", rest))
    if word == "not" and re.match(r"\s+(only|just)\b", rest):
        return False
    if word == "rather":
        return bool(re.match(r"\s+than\b", rest))
    return word in NEGATORS or word.endswith(("n't", "n\u2019t"))


def has_all(
    wanted: Sequence[str],
    said: Sequence[Word],
    *,
    negated: bool = False,
    reference: Sequence[Word] = (),
) -> bool:
    """Returns whether all stems occur: all of them not negated, or some of them negated.

    A word that the reference negates ("holds no copper") must be negated.
    """
    any_negated = False
    for target in wanted:
        hits = [word for word in said if _same_word(word.stem, target)]
        if not hits:
            return False
        any_negated |= any(word.negated for word in hits)
        stands = {word.negated for word in reference if _same_word(word.stem, target)} or {False}
        if not negated and not stands & {word.negated for word in hits}:
            return False
    return any_negated or not negated


def shared_words(
    answer: str, question: str, reference: str, but: Sequence[str] = ()
) -> tuple[int, int]:
    """Returns how many of an answer's words are in question or reference, and how many it has.

    Args:
        but: Stems to ignore.
    """
    said = {stem for stem in content_stems(answer) if not stem[0].isdigit()} - set(but)
    known = {*content_stems(question), *content_stems(reference)}
    return len(said & known), len(said)


def _same_word(said: str, wanted: str) -> bool:
    return said == wanted or (len(wanted) >= _PREFIX and said.startswith(wanted))
