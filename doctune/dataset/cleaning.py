"""Removes unsuitable and duplicate examples, and counts removals by reason.

`filter_facts` checks single facts: too short, too long, too many symbols, garbled, or nothing that
a reader would ask (`scoring.py`). `Deduplicator` removes exact copies by normalised text, and
near-duplicates by MinHash with locality-sensitive hashing; each candidate pair is verified on the
full sets of shingles, so that there are no false positives. `drop_ambiguous` removes questions that
two documents answer differently. `SideGuard` keeps sentences from being in two splits.

Rows of a table often differ only in one cell, so near-duplicates are not removed among them; exact
ones are.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from doctune.dataset.options import DatasetOptions
from doctune.dataset.records import Example, Fact
from doctune.dataset.scoring import fault_in
from doctune.dataset.spilling import KeyIndex, NumberedRecords, hash_of
from doctune.dataset.text import is_unspaced, normalise, sentences, symbol_ratio, words
from doctune.dataset.tokens import TokenCounter

if TYPE_CHECKING:
    from rensa import RMinHash

PERMUTATIONS = 64
_SEED = 1
_RECALL = 0.99
_SHINGLE_WORDS = 3
# An answer with fewer words ("Yes.") is too common to count as a duplicate.
_TELLING_WORDS = 5
# A shorter sentence ("Wear gloves.") may be in two splits without being a leak.
_GUARDED_WORDS = 6
# Size of the cache of shingles: with few documents, up to twenty divisions are tried on the same
# texts.
_REMEMBERED = 1 << 13
_GARBLED = re.compile(r"\ufffd|\(cid:\d+\)|[\ue000-\uf8ff]|(?:\b\w\s){8,}|(.)\1{7,}")
_MAX_QUESTION_TOKENS = 96
# Answers of these kinds are lists: they may take twice the length.
_LONG_KINDS = frozenset({"steps", "list", "faq", "outline"})


@dataclass(frozen=True)
class _Limit:
    """The maximum number of examples of a kind per document: the largest of these limits."""

    least: int
    share: float  # of its examples of other kinds
    a_page: float


_LIMITS = {
    "table": _Limit(least=50, share=0.4, a_page=5.0),
    "completion": _Limit(least=6, share=0.1, a_page=0.0),
    "outline": _Limit(least=2, share=0.05, a_page=0.0),
}


def filter_facts(
    facts: Iterable[Fact], options: DatasetOptions, counter: TokenCounter, removed: Counter[str]
) -> Iterator[Fact]:
    """Yields the suitable facts; counts each removed example in `removed`."""
    for fact in facts:
        reason = _fault(fact, options, counter)
        if reason:
            removed[reason] += len(fact.questions)
        else:
            yield fact


def _fault(fact: Fact, options: DatasetOptions, counter: TokenCounter) -> str:
    limit = options.answer_tokens * (2 if fact.kind in _LONG_KINDS else 1)
    if not words(fact.answer) or (fact.kind == "section" and len(words(fact.answer)) < 4):
        return "too_short"
    # A single sentence may exceed the limit by half.
    if counter.count(fact.answer) > limit * 1.5:
        return "too_long"
    question_limit = _MAX_QUESTION_TOKENS if fact.kind != "completion" else options.chunk_tokens * 2
    if any(counter.count(question) > question_limit for question in fact.questions):
        return "question_too_long"
    if any(_GARBLED.search(text) for text in (fact.answer, *fact.questions)):
        return "garbled"
    if not is_unspaced(fact.answer) and _is_fragmented(fact.answer):
        return "garbled"
    if symbol_ratio(fact.answer) > options.max_symbol_ratio:
        return "symbols"
    return fault_in(fact)


def _is_fragmented(text: str) -> bool:
    """Whether many words are single characters, as in formulas and broken text."""
    found = words(text)
    single = sum(len(word) == 1 and word not in "aAI" and not word.isdigit() for word in found)
    return len(found) >= 4 and single * 4 > len(found)


def limit_kinds(
    facts: list[Fact], rank: list[int], pages: int, removed: Counter[str]
) -> list[Fact]:
    """Limits the share of each kind among a document's examples.

    Completions fill up to one per chunk where there is little else to ask.

    Args:
        facts: The facts of one document.
        rank: A number for each fact; the facts with the lowest numbers are kept.
        pages: Number of pages of the document.
        removed: Counts the removed examples, as `too_many_<kind>`.
    """
    left_out: set[int] = set()
    for kind, limit in _LIMITS.items():
        of_kind = sorted((rank[at], at) for at, fact in enumerate(facts) if fact.kind == kind)
        others = sum(len(fact.questions) for fact in facts if fact.kind != kind)
        room = max(limit.least, int(limit.share * others), int(limit.a_page * pages))
        if kind == "completion":
            room = max(room, len(of_kind) - others)
        for _, at in of_kind:
            room -= len(facts[at].questions)
            if room < 0:
                left_out.add(at)
                removed[f"too_many_{kind}"] += len(facts[at].questions)
    return [fact for at, fact in enumerate(facts) if at not in left_out]


def shingles(text: str, size: int = _SHINGLE_WORDS, salt: str = "") -> frozenset[int]:
    """Returns the hashes of all runs of `size` words in a text.

    Args:
        text: The text; its case and punctuation do not count.
        size: Words in a run.
        salt: Sets with different salts have no hash in common.
    """
    found = normalise(text).split(" ")
    start = zlib.crc32(salt.encode())
    runs = range(max(1, len(found) - size + 1))
    return frozenset(zlib.crc32(" ".join(found[at : at + size]).encode(), start) for at in runs)


def minhash_of(hashes: frozenset[int]) -> RMinHash:
    """Returns the MinHash signature of a set of shingles."""
    from rensa import RMinHash

    signature = RMinHash(num_perm=PERMUTATIONS, seed=_SEED)
    # The order does not change the signature.
    signature.update([value.to_bytes(4) for value in hashes])
    return signature


def similarity(first: frozenset[Any], second: frozenset[Any]) -> float:
    """Returns the Jaccard similarity of two sets."""
    return len(first & second) / len(first | second)


def _bands(threshold: float) -> int:
    """Returns the smallest number of LSH bands with a recall of 99 % at the threshold."""

    def recall(bands: int) -> float:
        return 1 - (1 - threshold ** (PERMUTATIONS // bands)) ** bands

    powers = [2**power for power in range(PERMUTATIONS.bit_length())]
    return next((bands for bands in powers if recall(bands) >= _RECALL), PERMUTATIONS)


class NearIndex:
    """An index of texts that finds near-duplicates; what it holds is in a file (`spilling.py`).

    Args:
        threshold: Jaccard similarity above which two texts are near-duplicates.
    """

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._bands = _bands(threshold)
        self._numbers = KeyIndex()  # of the records, by the hash of a band of the signature
        self._records = NumberedRecords()  # a value, then the shingles
        self._last: tuple[frozenset[int], tuple[int, ...]] | None = None

    def find(self, hashes: frozenset[int]) -> Iterator[int]:
        """Yields the values of sets with a similarity at or above the threshold, oldest first."""
        return (value for _, value in self.matches(hashes))

    def matches(self, hashes: frozenset[int]) -> Iterator[tuple[float, int]]:
        """As `find`, with similarities; candidates are compared lazily."""
        found = {number for key in self._keys(hashes) for number in self._numbers.get(key)}
        for number in sorted(found):
            value, *known = self._records[number]
            if (likeness := similarity(hashes, frozenset(known))) >= self._threshold:
                yield likeness, value

    def add(self, hashes: frozenset[int], value: int) -> None:
        """Adds a set of shingles with its value for `find`."""
        number = self._records.add((value, *hashes))
        for key in self._keys(hashes):
            self._numbers.add(key, number)

    def _keys(self, hashes: frozenset[int]) -> tuple[int, ...]:
        # Cached, since a text is usually searched for and then added.
        if self._last is None or self._last[0] is not hashes:
            signature = minhash_of(hashes).digest()
            size = PERMUTATIONS // self._bands
            # The hash of a tuple of integers is the same in every process.
            keys = (
                hash((band, *signature[band * size : (band + 1) * size]))
                for band in range(self._bands)
            )
            self._last = (hashes, tuple(keys))
        return self._last[1]


class Deduplicator:
    """Admits each answer's text for one owner and a limited number of questions.

    One text may answer several questions (a section's first sentence may also define a term). These
    are phrasings, which are wanted up to a limit. Refused are the same question with the same
    answer, one question with two answers, and a text of another owner. Texts are known by 64-bit
    hashes, which are in files (`spilling.py`).

    Args:
        threshold: Jaccard similarity above which two texts are near-duplicates.
        most_questions: Maximum number of questions per text.
    """

    def __init__(self, threshold: float, most_questions: int) -> None:
        self._owner_of_text = KeyIndex()
        self._questions_of_text = KeyIndex()  # numbered from 0
        self._text_of_question = KeyIndex()
        self._near = NearIndex(threshold)
        self._admitted = NumberedRecords()  # owner, kind and text of what is in `_near`
        self._most_questions = most_questions
        self.exact = 0
        self.near = 0
        self.contradictions = 0

    @classmethod
    def of(cls, options: DatasetOptions) -> Deduplicator:
        """Returns a deduplicator with the settings of `options`."""
        # A fact that many documents state may have twice as many questions.
        return cls(options.near_duplicate_threshold, options.phrasings * 2)

    def admit(self, fact: Fact, owner: str) -> tuple[str, ...]:
        """Returns the admitted questions of a fact, and remembers them."""
        answer = normalise(fact.answer)
        text = answer
        if answer.count(" ") < _TELLING_WORDS - 1:
            text = f"{normalise(fact.questions[0])} {answer}"
        known, owner_hash = hash_of(text), hash_of(owner)
        if self._owner_of_text.setdefault(known, owner_hash) != owner_hash:
            self.exact += len(fact.questions)
            return ()
        if fact.kind != "table" and self._is_near_copy(fact.kind, owner_hash, text):
            self.near += len(fact.questions)
            return ()
        own: set[int] = set()  # questions that came with this fact
        return tuple(question for question in fact.questions if self._admits(question, known, own))

    def _is_near_copy(self, kind: str, owner: int, text: str) -> bool:
        # Texts with different numbers state different facts, however similar they are. So the
        # numbers are part of every shingle, and such texts have no shingle in common.
        hashes = _fact_shingles(text)
        this = (owner, hash_of(kind), hash_of(text))
        is_known = False
        for number in self._near.find(hashes):
            near = near_owner, near_kind, near_text = tuple(self._admitted[number])
            if near_owner != owner or (near_kind == this[1] and near_text != this[2]):
                return True
            is_known = is_known or near == this
        # Once is enough: each copy of a text would be compared with all copies before it.
        if not is_known:
            self._near.add(hashes, self._admitted.add(this))
        return False

    def _admits(self, question: str, text: int, own: set[int]) -> bool:
        asked = hash_of(normalise(question))
        if not (known := self._text_of_question.get(asked)):
            self._text_of_question.add(asked, text)
            own.add(asked)
        elif known[0] != text:
            self.contradictions += 1
            return False
        count = len(self._questions_of_text.get(text))
        if asked not in own or count >= self._most_questions:
            self.exact += 1
            return False
        self._questions_of_text.add(text, count)
        return True


@lru_cache(maxsize=_REMEMBERED)
def _fact_shingles(text: str) -> frozenset[int]:
    return shingles(text, salt=" ".join(_numbers(text)))


def _numbers(text: str) -> tuple[str, ...]:
    return tuple(word for word in text.split(" ") if any(map(str.isdigit, word)))


def drop_ambiguous(examples: list[Example], removed: Counter[str]) -> list[Example]:
    """Removes questions that two documents answer differently, since they are ambiguous.

    For terms, and for questions that a document itself asks, the first answer is kept: a term has
    one meaning in a corpus, in different words.
    """
    first_of: dict[str, dict[str, Example]] = {}
    for example in examples:
        of_question = first_of.setdefault(normalise(example.question), {})
        of_question.setdefault(example.doc_id, example)
    # For each question that documents disagree on, the example to keep, if any.
    disputed: dict[str, Example | None] = {}
    for question, by_document in first_of.items():
        one, *others = by_document.values()
        if not all(_says_same(one.answer, other.answer) for other in others):
            found = (each for each in (one, *others) if each.kind in ("definition", "faq"))
            disputed[question] = next(found, None)
    kept = []
    for example in examples:
        question = normalise(example.question)
        if question in disputed and disputed[question] is not example:
            removed["question_with_two_answers"] += 1
        else:
            kept.append(example)
    return kept


def _says_same(first: str, second: str) -> bool:
    one, two = frozenset(normalise(first).split(" ")), frozenset(normalise(second).split(" "))
    return similarity(one, two) >= 0.5


class SideGuard:
    """Tracks which sentences are on which side of the split.

    Sides are processed in order of importance. An example of a later side is refused if its
    question or answer has a sentence of an earlier side. Sentences are known by 64-bit hashes,
    which are in a file (`spilling.py`).
    """

    def __init__(self) -> None:
        self._side = 0
        self._first_side = KeyIndex()

    def next_side(self) -> None:
        """Closes a side: its sentences are refused from now on."""
        self._side += 1

    def admit(self, example: Example) -> bool:
        """Returns whether an example shares no sentence with earlier sides; records its passage."""
        told = [hash_of(one) for one in (*_telling(example.answer), *_telling(example.question))]
        if any(side < self._side for one in told for side in self._first_side.get(one)):
            return False
        for one in (*told, *map(hash_of, _telling(example.passage))):
            self._first_side.setdefault(one, self._side)
        return True


def _telling(text: str) -> Iterator[str]:
    for line in text.splitlines():
        for sentence in sentences(line):
            plain = normalise(sentence)
            if plain.count(" ") >= _GUARDED_WORDS - 1:
                yield plain
