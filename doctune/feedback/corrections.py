"""Corrections from feedback: one answer a question, with its authors and reviewers."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from doctune.configuration.retraining import AugmentOptions
from doctune.database.feedback_rows import FeedbackRow
from doctune.evaluation.wording import content_stems
from doctune.feedback.queue import question_cluster
from doctune.feedback.support import same_answer

RULES = "rules"  # the reviewer that is no person
_ONE_QUESTION = 0.6  # of the words of two questions
# A word with a capital that does not begin a sentence, or one with a digit.
_NAME = re.compile(r"(?<=[^\s.?!:]\s)[A-Z][\w-]*|\b\w*\d\w*")
_DECIDED = ("accepted", "edited")


@dataclass(frozen=True)
class Person:
    """The author of feedback: a key, and the end user if one is named."""

    key_id: str
    user: str

    @property
    def name(self) -> str:
        """What reports call them."""
        return f"{self.key_id}/{self.user}" if self.user else self.key_id


@dataclass
class Correction:
    """The accepted answer to a question, with the feedback behind it."""

    question: str
    answer: str
    prediction_id: str
    reviewer: str
    decided_at: datetime
    anchor: str = ""  # the question that was asked first: it draws the side, and later ones do not
    given: str = ""  # what the model had answered
    feedback: list[str] = field(default_factory=list)
    people: dict[Person, float] = field(default_factory=dict)  # each with the weight of their word
    phrasings: list[str] = field(default_factory=list)  # asked by others
    files: frozenset[str] = frozenset()  # of the answer's sources

    @property
    def weight(self) -> float:
        """How much all those people's words count."""
        return sum(self.people.values())

    @property
    def by_person(self) -> bool:
        """Whether a person accepted it."""
        return self.reviewer != RULES

    @property
    def cluster(self) -> str:
        """What its question shares with others in nearly the same words."""
        return question_cluster(self.question)


def person_of(row: FeedbackRow) -> Person:
    """Returns who said something."""
    return Person(row.key_id, row.end_user or "")


def read_corrections(
    rows: Iterable[FeedbackRow], options: AugmentOptions
) -> tuple[list[Correction], list[FeedbackRow]]:
    """Returns the corrections that were decided, and the rows that wait for a decision."""
    by_prediction: dict[str, list[FeedbackRow]] = defaultdict(list)
    merged: dict[str, list[FeedbackRow]] = defaultdict(list)
    waiting = []
    for row in rows:
        if row.review_state in _DECIDED:
            by_prediction[row.prediction_id].append(row)
        elif row.review_state == "merged" and row.merged_into:
            merged[row.merged_into].append(row)
        elif row.review_state == "open" and row.kind == "correction":
            waiting.append(row)
    found = []
    for prediction_id, own in by_prediction.items():
        also = merged.get(prediction_id, [])
        correction = _correction(prediction_id, own, also, options)
        if correction is not None:
            found.append(correction)
    found.sort(key=lambda one: one.prediction_id)
    return found, waiting


def _correction(
    prediction_id: str,
    own: Sequence[FeedbackRow],
    merged: Sequence[FeedbackRow],
    options: AugmentOptions,
) -> Correction | None:
    first = own[0]
    answer = first.review_answer
    if not answer or not first.question or first.reviewed_at is None:
        return None
    correction = Correction(
        question=first.question,
        answer=answer.strip(),
        prediction_id=prediction_id,
        reviewer=first.reviewed_by or "",
        decided_at=first.reviewed_at,
        anchor=min((*own, *merged), key=lambda row: row.prediction_id).question,
        given=first.answer or "",
        phrasings=sorted({row.question for row in merged if row.question} - {first.question}),
        files=frozenset(str(s.get("document") or "") for s in first.sources or ()) - {""},
    )
    for row in (*own, *merged):
        correction.feedback.append(row.id)
        agrees = row.kind != "correction" or same_answer(
            first.question, answer, str(row.value["correction"] or "")
        )
        if agrees:
            weight = options.weights.get(row.source, 0.0)
            person = person_of(row)
            correction.people[person] = max(weight, correction.people.get(person, 0.0))
    return correction


def settle(
    corrections: Sequence[Correction], groups: Sequence[Sequence[int]]
) -> tuple[list[Correction], list[tuple[Correction, str]]]:
    """Returns one correction for each group of questions that ask the same, and what gave way.

    Of answers that differ, a person's decision beats the rules', then the greater weight of those
    who say so, then the later decision; where nothing tells them apart, all are left out.
    """
    kept, left = [], []
    for group in groups:
        answers: list[list[Correction]] = []
        for at in group:
            own = corrections[at]
            same = next((s for s in answers if _same(s[0], own)), None)
            if same is None:
                answers.append([own])
            else:
                same.append(own)
        for rivals in _rivals(answers):
            ranked = sorted(rivals, key=_rank, reverse=True)
            if len(ranked) > 1 and _rank(ranked[0]) == _rank(ranked[1]):
                undecided = [one for same in ranked for one in same]
                why = "two answers, and nothing tells which is right"
                left += [(one, why) for one in undecided]
                continue
            kept.append(_joined(ranked[0]))
            why = "another answer to this question won"
            left += [(one, why) for same in ranked[1:] for one in same]
    return kept, left


def _rivals(answers: Sequence[list[Correction]]) -> list[list[list[Correction]]]:
    """Returns answers in groups that are to one question.

    What the encoder takes for one question may name two things ("the load of the mast", "the load
    of the hinge"): answers that differ are rivals only where the questions' words are the same, and
    no name or number stands in each that the other lacks.
    """
    groups: list[list[list[Correction]]] = []
    for same in answers:
        question = same[0].question
        for group in groups:
            if any(_alike(question, other[0].question) for other in group):
                group.append(same)
                break
        else:
            groups.append([same])
    return groups


def _alike(one: str, other: str) -> bool:
    first, second = frozenset(content_stems(one)), frozenset(content_stems(other))
    if len(first & second) < _ONE_QUESTION * len(first | second):
        return False
    names, others = _names(one), _names(other)
    return not (names - others and others - names)


def _names(question: str) -> frozenset[str]:
    return frozenset(name.lower() for name in _NAME.findall(question))


def _same(one: Correction, other: Correction) -> bool:
    return same_answer(one.question, one.answer, other.answer)


def _rank(same: Sequence[Correction]) -> tuple[bool, float, datetime]:
    people: dict[Person, float] = {}
    for one in same:
        for person, weight in one.people.items():
            people[person] = max(weight, people.get(person, 0.0))
    return (
        any(one.by_person for one in same),
        sum(people.values()),
        max(one.decided_at for one in same),
    )


def _joined(same: Sequence[Correction]) -> Correction:
    """Returns corrections that say the same as one; all questions but the first are phrasings."""
    first = max(same, key=lambda one: (one.by_person, one.weight, one.decided_at))
    people: dict[Person, float] = {}
    for one in same:
        for person, weight in one.people.items():
            people[person] = max(weight, people.get(person, 0.0))
    questions = {q for one in same for q in (one.question, *one.phrasings)} - {first.question}
    return Correction(
        question=first.question,
        answer=first.answer,
        prediction_id=first.prediction_id,
        reviewer=first.reviewer,
        decided_at=first.decided_at,
        anchor=min(same, key=lambda one: one.prediction_id).anchor,
        given=first.given,
        feedback=[name for one in same for name in one.feedback],
        people=people,
        phrasings=sorted(questions),
        files=frozenset().union(*(one.files for one in same)),
    )
