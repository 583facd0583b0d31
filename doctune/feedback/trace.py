"""Traces an answer back to its training examples, their pages, and the feedback behind them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from doctune.evaluation.wording import content_stems
from doctune.feedback.queue import question_cluster
from doctune.feedback.support import same_answer
from doctune.files import text_lines

_ABOUT = 0.6  # of the words of two questions
_MOST = 10


@dataclass(frozen=True)
class Lesson:
    """An example that a version was trained on and that is about a question."""

    question: str
    answer: str
    file: str
    pages: tuple[int, ...]
    feedback: tuple[str, ...]  # ids; none where it came from the documents alone
    likeness: float  # of the questions' words; 1 for the same
    says_it: bool  # whether it teaches what was answered


def read_lessons(train_set: Path, question: str, answer: str) -> list[Lesson]:
    """Returns the examples of a training set that are about a question, the nearest first."""
    rows = (json.loads(line) for _, line in text_lines(train_set))
    return lessons(rows, question, answer)


def feedback_of(train_set: Path) -> frozenset[str]:
    """Returns the ids of the feedback that a training set has examples of."""
    rows = (json.loads(line) for _, line in text_lines(train_set))
    return frozenset(name for row in rows for name in row.get("feedback") or ())


def lessons(rows: Iterable[dict[str, Any]], question: str, answer: str) -> list[Lesson]:
    """Returns those among rows of a data set."""
    cluster, asked = question_cluster(question), frozenset(content_stems(question))
    found = []
    for row in rows:
        own = str(row["messages"][-2]["content"])
        words = frozenset(content_stems(own))
        likeness = len(asked & words) / len(asked | words) if asked | words else 0.0
        if question_cluster(own) == cluster:
            likeness = 1.0
        if likeness < _ABOUT:
            continue
        source, told = row.get("source") or {}, str(row["messages"][-1]["content"])
        lesson = Lesson(
            question=own,
            answer=told,
            file=str(source.get("file") or ""),
            pages=tuple(source.get("pages") or ()),
            feedback=tuple(row.get("feedback") or ()),
            likeness=round(likeness, 3),
            says_it=same_answer(question, answer, told),
        )
        found.append(lesson)
    found.sort(key=lambda one: (not one.says_it, -one.likeness, not one.feedback))
    return found[:_MOST]
