"""Measures the agent: grades its answers to questions with known answers, by rules.

A case is a question as in `doctune.evaluation.questions`, with optional `earlier` questions of the
same conversation, which are asked first.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from doctune.agent.citing import without_marks
from doctune.agent.core import Agent
from doctune.agent.followups import Turn
from doctune.errors import EvaluationError
from doctune.evaluation.answer_accuracy import grade_answer
from doctune.evaluation.questions import Question
from doctune.evaluation.quiz import Item, Passage, holds_fact
from doctune.progress import progress

if TYPE_CHECKING:
    from doctune.agent.messages import Reply

_RETRIEVAL_QUESTIONS = 40  # what retrieval is timed on
_SHOWN = 5


@dataclass(frozen=True)
class Case:
    """A question, with the earlier questions of its conversation."""

    question: Question
    earlier: tuple[str, ...] = ()


@dataclass(frozen=True)
class MarkedReply:
    """A graded answer; a grade that does not apply is None."""

    question: str
    standalone: str
    answer: str
    kind: str
    expects: str
    right: bool
    refused: bool
    page_right: bool | None
    unsupported: tuple[str, ...]
    answered_by: str
    seconds: float
    stages: Mapping[str, float] = field(default_factory=dict)  # seconds of each part


@dataclass(frozen=True)
class Figures:
    """Shares from 0 to 1, and milliseconds.

    Attributes:
        right: Of all; a refusal is right where the documents do not say.
        unsupported: Of what was answered, with a number, name or date that no source holds.
        page_right: Of what was answered right, with a page that has the fact among the sources.
        refused_right: Of those without an answer, refused.
        refused_wrong: Of those with an answer, refused.
        retrieval_ms: Median of finding the passages of a question.
        answer_ms: Median of the whole answer.
        stage_ms: Median of each part, of the answers that had it: find, closest, summary, model.
        plain_chain_right: Of a plain RAG chain on the same model; None where none was asked
            (`benchmarks/agent.py` asks one).
    """

    questions: int
    right: float
    right_single: float | None
    right_follow_up: float | None
    unsupported: float
    page_right: float | None
    refused_right: float | None
    refused_wrong: float | None
    fallback: float
    retrieval_ms: float
    answer_ms: float
    answer_ms_p95: float
    passages: int
    stage_ms: Mapping[str, float] = field(default_factory=dict)
    plain_chain_right: float | None = None


def load_cases(file: Path) -> tuple[Case, ...]:
    """Reads a JSONL file of cases.

    Raises:
        EvaluationError: The file is missing or empty, or a line is not a case.
    """
    cases = []
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(f"The questions in {file} cannot be read: {error}.") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            earlier = tuple(map(str, row.pop("earlier", ())))
            cases.append(Case(Question.model_validate(row), earlier))
        except (ValueError, AttributeError, TypeError, ValidationError) as error:
            raise EvaluationError(f"{file}, line {number} is not a question: {error}.") from error
    if not cases:
        raise EvaluationError(f"{file} holds no question: give one JSON object a line.")
    return tuple(cases)


def measure(agent: Agent, cases: Sequence[Case]) -> tuple[list[MarkedReply], Figures]:
    """Asks each case and grades the answers."""
    agent.warm_up()
    marked = []
    with progress("Asking the agent", len(cases), "questions") as bar:
        for case in cases:
            marked.append(_marked(agent, case))
            bar.advance()
    return marked, summarise(marked, _retrieval_ms(agent, cases), len(agent.answerer.index.ids))


def summarise(marked: Sequence[MarkedReply], retrieval_ms: float, passages: int) -> Figures:
    """Returns the figures of marked answers."""
    answered = [one for one in marked if not one.refused]
    rated = [one for one in marked if one.page_right is not None]
    silent = [one for one in marked if one.expects == "refusal"]
    said = [one for one in marked if one.expects != "refusal"]
    follow_ups = [one for one in marked if one.kind == "follow_up"]
    times = sorted(1000 * one.seconds for one in marked)
    return Figures(
        questions=len(marked),
        right=_share(marked, lambda one: one.right) or 0.0,
        right_single=_share(
            [one for one in marked if one.kind != "follow_up"], lambda one: one.right
        ),
        right_follow_up=_share(follow_ups, lambda one: one.right),
        unsupported=_share(answered, lambda one: bool(one.unsupported)) or 0.0,
        page_right=_share(rated, lambda one: bool(one.page_right)),
        refused_right=_share(silent, lambda one: one.refused),
        refused_wrong=_share(said, lambda one: one.refused),
        fallback=_share(marked, lambda one: one.answered_by.endswith("(fallback)")) or 0.0,
        retrieval_ms=round(retrieval_ms, 2),
        answer_ms=round(statistics.median(times), 2),
        answer_ms_p95=round(times[min(len(times) - 1, int(0.95 * len(times)))], 2),
        passages=passages,
        stage_ms=_stage_ms(marked),
    )


def _share(rows: Sequence[Any], test: Callable[[Any], bool]) -> float | None:
    return round(sum(map(test, rows)) / len(rows), 4) if rows else None


def _marked(agent: Agent, case: Case) -> MarkedReply:
    turns: list[Turn] = []
    for before in case.earlier:
        said = agent.ask(before, turns)
        turns.append(Turn(said.question, said.text))
    started = time.perf_counter()
    reply = agent.ask(case.question.question, turns)
    seconds = time.perf_counter() - started
    asked = case.question
    answer = agent.options.refusal if reply.refused else without_marks(reply.text)
    grade = grade_answer(
        reply.question,
        answer,
        reference=asked.answer,
        key_facts=asked.key_facts,
        expects=asked.expects,
    )
    rated = grade.right and asked.expects != "refusal" and bool(asked.source)
    return MarkedReply(
        question=asked.question,
        standalone=reply.question,
        answer=answer,
        kind="follow_up" if case.earlier else asked.kind,
        expects=asked.expects,
        right=grade.right,
        refused=reply.refused,
        page_right=_names_page(reply, asked) if rated else None,
        unsupported=reply.unsupported,
        answered_by=reply.speaker.stage + (" (fallback)" if reply.speaker.fallback else ""),
        seconds=seconds,
        stages=dict(reply.seconds),
    )


def _names_page(reply: Reply, asked: Question) -> bool:
    """Returns whether a source is the fact's page, or contains all words of the fact."""
    for one in reply.sources:
        source = one.source
        if Path(source.file).name == asked.source and source.page == asked.page:
            return True
        text = " ".join([*source.heading, source.text])
        passage = Passage(file=source.file, pages=(source.page,), text=text)
        if holds_fact(Item(question=asked), passage):
            return True
    return False


def _stage_ms(marked: Sequence[MarkedReply]) -> dict[str, float]:
    names = sorted({name for one in marked for name in one.stages})
    return {
        name: round(
            statistics.median(1000 * one.stages[name] for one in marked if name in one.stages), 2
        )
        for name in names
    }


def _retrieval_ms(agent: Agent, cases: Sequence[Case]) -> float:
    times = []
    for case in cases[:_RETRIEVAL_QUESTIONS]:
        started = time.perf_counter()
        agent.answerer.index.search(case.question.question, _SHOWN)
        times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times)
