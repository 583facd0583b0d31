"""Takes out what should not be learnt, and counts each removal by its reason.

Three passes. `filter_facts` judges one fact at a time: too short, too long, too many symbols,
garbled. `Deduplicator` remembers what it has let through: exact copies by normalised text, near
copies by MinHash with locality-sensitive hashing, each suspected pair confirmed on the true sets of
shingles so that chance removes nothing. `SideGuard` keeps any sentence from standing on two sides
of the split.

Rows of tables differ from each other in little but the one cell that matters, so near copies are
not looked for among them; exact ones are.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator

from doctune.dataset.options import DatasetOptions
from doctune.dataset.records import Example, Fact
from doctune.dataset.text import normalise, sentences, symbol_ratio, words
from doctune.dataset.tokens import TokenCounter

PERMUTATIONS = 64
_SHINGLE_WORDS = 3
# Below this many words an answer says too little to be told apart by itself ("Yes.").
_TELLING_WORDS = 5
# A shorter sentence ("Wear gloves.") may stand in two documents without giving one away.
_GUARDED_WORDS = 6
_GARBLED = re.compile(r"\ufffd|\(cid:\d+\)|[\ue000-\uf8ff]|(?:\b\w\s){8,}|(.)\1{7,}")
_MAX_QUESTION_TOKENS = 96
# Answers of these kinds are lists: they may take twice the length.
_LONG_KINDS = frozenset({"steps", "list", "faq", "outline"})
# Most examples of a kind that one document gives, as a share of its examples of other kinds; the
# second number is how many it may give in any case.
_KIND_LIMITS = {"table": (1.5, 60), "completion": (0.35, 8)}


def filter_facts(
    facts: Iterable[Fact], options: DatasetOptions, counter: TokenCounter, removed: Counter[str]
) -> Iterator[Fact]:
    """Yields the facts that are fit to learn from; adds each removed example to `removed`."""
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
    # One sentence may run over by half before it is too long to be a good answer.
    if counter.count(fact.answer) > limit * 1.5:
        return "too_long"
    question_limit = _MAX_QUESTION_TOKENS if fact.kind != "completion" else options.chunk_tokens * 2
    if any(counter.count(question) > question_limit for question in fact.questions):
        return "question_too_long"
    if any(_GARBLED.search(text) for text in (fact.answer, *fact.questions)):
        return "garbled"
    if symbol_ratio(fact.answer) > options.max_symbol_ratio:
        return "symbols"
    return ""


def limit_kinds(facts: list[Fact], rank: list[int], removed: Counter[str]) -> list[Fact]:
    """Keeps one kind from crowding out the others of a document.

    Args:
        facts: Those of one document.
        rank: For each fact a number; the facts with the lowest ones stay.
        removed: Gets the count of examples left out, as `too_many_<kind>`.
    """
    kept = set(range(len(facts)))
    for kind, (share, least) in _KIND_LIMITS.items():
        others = sum(len(fact.questions) for fact in facts if fact.kind != kind)
        room = max(least, int(share * others))
        of_kind = sorted(
            (rank[index], index) for index, fact in enumerate(facts) if fact.kind == kind
        )
        for _, index in of_kind:
            room -= len(facts[index].questions)
            if room < 0:
                kept.discard(index)
                removed[f"too_many_{kind}"] += len(facts[index].questions)
    return [fact for index, fact in enumerate(facts) if index in kept]


def shingles(text: str, size: int = _SHINGLE_WORDS) -> frozenset[int]:
    """Returns the hashes of all runs of `size` words in a text."""
    found = normalise(text).split(" ")
    runs = range(max(1, len(found) - size + 1))
    return frozenset(zlib.crc32(" ".join(found[at : at + size]).encode()) for at in runs)


def minhash_of(hashes: frozenset[int]) -> object:
    """Returns the MinHash signature of a set of shingles."""
    from datasketch import MinHash

    signature = MinHash(num_perm=PERMUTATIONS, hashfunc=_same)
    # The order does not change the signature.
    signature.update_batch(list(hashes))
    return signature


def _same(value: int) -> int:
    return value


def similarity(first: frozenset[int], second: frozenset[int]) -> float:
    """Returns the Jaccard similarity of two sets."""
    return len(first & second) / len(first | second)


class NearIndex:
    """Finds, among texts added before, one that is nearly the same."""

    def __init__(self, threshold: float) -> None:
        from datasketch import MinHashLSH

        self._threshold = threshold
        self._index = MinHashLSH(threshold=threshold, num_perm=PERMUTATIONS)
        self._sets: list[frozenset[int]] = []
        self._owners: list[object] = []

    def find(self, hashes: frozenset[int]) -> list[object]:
        """Returns the owners of all added texts at or above the threshold, the oldest first."""
        return self._find(hashes, minhash_of(hashes))

    def find_or_add(self, hashes: frozenset[int], owner: object) -> list[object]:
        """Like `find`; adds the text if none is found."""
        signature = minhash_of(hashes)
        found = self._find(hashes, signature)
        if not found:
            self.add(hashes, owner, signature)
        return found

    def add(self, hashes: frozenset[int], owner: object, signature: object = None) -> None:
        """Adds a text."""
        self._index.insert(len(self._sets), signature or minhash_of(hashes))
        self._sets.append(hashes)
        self._owners.append(owner)

    def _find(self, hashes: frozenset[int], signature: object) -> list[object]:
        return [
            self._owners[number]
            for number in sorted(self._index.query(signature))
            if similarity(hashes, self._sets[number]) >= self._threshold
        ]


class Deduplicator:
    """Lets a fact through once.

    Within one document a text may answer several questions (a section's first sentence may also
    define a term): those are phrasings, which are wanted. The same question with the same answer,
    one question with two answers, and the same text from another document are not.
    """

    def __init__(self, threshold: float) -> None:
        self._owner_of_text: dict[str, str] = {}
        self._answer_of: dict[str, str] = {}
        self._near: dict[str, NearIndex] = {}
        self._threshold = threshold
        self.exact = 0
        self.near = 0
        self.contradictions = 0

    def admit(self, fact: Fact, document: str) -> tuple[str, ...]:
        """Returns the questions of a fact that may stay; remembers them."""
        answer = normalise(fact.answer)
        text = answer
        if len(answer.split(" ")) < _TELLING_WORDS:
            text = f"{normalise(fact.questions[0])} {answer}"
        if self._owner_of_text.setdefault(text, document) != document:
            self.exact += len(fact.questions)
            return ()
        if fact.kind != "table" and self._is_near_copy(fact, document, text):
            self.near += len(fact.questions)
            return ()
        return tuple(question for question in fact.questions if self._is_new(question, answer))

    def _is_near_copy(self, fact: Fact, document: str, text: str) -> bool:
        near = self._near.setdefault("all", NearIndex(self._threshold))
        hashes = shingles(text)
        for owner, kind, other in near.find(hashes):
            if owner != document or (kind == fact.kind and other != text):
                return True
        near.add(hashes, (document, fact.kind, text))
        return False

    def _is_new(self, question: str, answer: str) -> bool:
        known = self._answer_of.setdefault(normalise(question), answer)
        if known is answer:
            return True
        if known == answer:
            self.exact += 1
        else:
            self.contradictions += 1
        return False


class SideGuard:
    """Knows which sentences stand on which side of the split.

    Sides are given one after the other, the most important first; an example of a later side whose
    question or answer holds a sentence of an earlier side is refused.
    """

    def __init__(self) -> None:
        self._earlier: set[str] = set()
        self._current: set[str] = set()

    def next_side(self) -> None:
        """Closes a side: its sentences are taken from now on."""
        self._earlier |= self._current
        self._current = set()

    def admit(self, example: Example) -> bool:
        """Whether an example shares no sentence with an earlier side; remembers its passage."""
        told = [*_telling(example.answer), *_telling(example.question)]
        if any(sentence in self._earlier for sentence in told):
            return False
        self._current.update(told)
        self._current.update(_telling(example.passage))
        return True


def _telling(text: str) -> Iterator[str]:
    for line in text.splitlines():
        for sentence in sentences(line):
            plain = normalise(sentence)
            if plain.count(" ") >= _GUARDED_WORDS - 1:
                yield plain
