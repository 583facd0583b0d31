"""Splits corrections into training data and regression tests, which every later version must pass.

A keyed hash of the question's cluster draws the share of test cases, so that one question is on
one side in every retraining. What is near a test example, or belongs to a document that is held out
for the test, is a test case whatever its hash: learning it would make the test a lie.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from doctune.configuration.retraining import AugmentOptions
from doctune.dataset.cleaning import shingles, similarity
from doctune.dataset.text import normalise, words
from doctune.feedback.corrections import Correction, Person
from doctune.feedback.queue import question_cluster

Side = Literal["train", "regression"]
_NEAR = 0.7  # of the runs of two words
_TELLING_WORDS = 8  # shorter answers are shared by questions that have nothing in common
_HASH = 1 << 32


@dataclass(frozen=True)
class TestSide:
    """What the test asks, to keep training away from it."""

    __test__ = False  # not a test case, whatever pytest makes of its name

    clusters: frozenset[str]
    questions: tuple[frozenset[int], ...]
    answers: tuple[frozenset[int], ...]
    documents: frozenset[str]  # ids and files that only the test has examples of

    @classmethod
    def of(cls, test: Iterable[dict[str, Any]], train: Iterable[dict[str, Any]]) -> TestSide:
        """Returns what rows of the test set ask that the training set does not teach."""
        test = list(test)
        learnt = {name for row in train for name in _documents(row)}
        return cls(
            clusters=frozenset(question_cluster(_question(row)) for row in test),
            questions=tuple({shingles(_question(row), 2) for row in test}),
            answers=tuple(
                {
                    shingles(_answer(row), 3)
                    for row in test
                    if len(words(_answer(row))) >= _TELLING_WORDS
                }
            ),
            documents=frozenset(name for row in test for name in _documents(row)) - learnt,
        )

    def why_held(self, correction: Correction) -> str:
        """Returns why a correction belongs to the test; "" where it does not."""
        questions = (correction.question, *correction.phrasings)
        if any(question_cluster(question) in self.clusters for question in questions):
            return "a test example asks the same"
        if any(
            _is_near(shingles(question, 2), self.questions)
            for question in questions
            if len(words(question)) > 2
        ):
            return "near a test example's question"
        long = len(words(correction.answer)) >= _TELLING_WORDS
        if long and _is_near(shingles(correction.answer, 3), self.answers):
            return "near a test example's answer"
        if correction.files & self.documents:
            return "of a document that is held out for the test"
        return ""


def side_of(correction: Correction, held: str, options: AugmentOptions) -> tuple[Side, str]:
    """Returns a correction's side, and why."""
    if held:
        return "regression", held
    drawn = _drawn(correction.anchor or correction.question, options.regression_key)
    return ("regression", "drawn") if drawn < options.regression_share * _HASH else ("train", "")


def _drawn(question: str, key: str) -> int:
    digest = hmac.new(key.encode(), question_cluster(question).encode(), hashlib.sha256).digest()
    return int.from_bytes(digest[:4], "big")


def within_shares(
    corrections: Sequence[Correction], options: AugmentOptions
) -> tuple[list[Correction], list[tuple[Correction, str]]]:
    """Returns the corrections without those that one user or key has too many of.

    What a person of the project accepted does not count against anybody: they have looked.
    """
    kept = sorted(corrections, key=lambda one: (-one.weight, one.decided_at, one.prediction_id))
    total = len(kept)
    most = {
        "user": max(options.always_per_user, int(options.most_per_user * total)),
        "key": max(options.always_per_key, int(options.most_per_key * total)),
    }
    counts: dict[tuple[str, str], int] = {}
    taken: list[Correction] = []
    left: list[tuple[Correction, str]] = []
    for one in kept:
        names = _alone(one)
        full = next((n for n in names if counts.get(n, 0) >= most[n[0]]), None)
        if full is not None and not one.by_person:
            left.append((one, f"too many from {full[0]} {full[1]}"))
            continue
        for name in names:
            counts[name] = counts.get(name, 0) + 1
        taken.append(one)
    return sorted(taken, key=lambda one: one.prediction_id), left


def _alone(correction: Correction) -> list[tuple[str, str]]:
    """Returns the user and the key that a correction rests on alone, where it does."""
    people: list[Person] = list(correction.people)
    keys = {person.key_id for person in people}
    users = {person.name for person in people}
    return [
        *((("key", min(keys)),) if len(keys) == 1 else ()),
        *((("user", min(users)),) if len(users) == 1 else ()),
    ]


def _is_near(own: frozenset[int], others: Iterable[frozenset[int]]) -> bool:
    return any(similarity(own, other) >= _NEAR for other in others)


def _documents(row: dict[str, Any]) -> set[str]:
    source = row.get("source") if isinstance(row.get("source"), dict) else {}
    return {str(source[name]) for name in ("doc_id", "file") if source and source.get(name)}


def _question(row: dict[str, Any]) -> str:
    return str(row["messages"][-2]["content"])


def _answer(row: dict[str, Any]) -> str:
    return str(row["messages"][-1]["content"])


def same_question(row: dict[str, Any], questions: frozenset[str]) -> bool:
    """Returns whether a row of a set asks one of some normalised questions."""
    return normalise(_question(row)) in questions
