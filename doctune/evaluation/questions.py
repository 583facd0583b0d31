"""Users' questions with the key facts of a right answer, one JSON object per line.

    {"question": "how long must a new skeen be soaked?", "answer": "... for 10 minutes.",
     "key_facts": ["10 minutes"], "fact": "in soft run for 10 minutes",
     "source": "bulletin-27-spring-2031.pdf", "page": 1, "kind": "number", "expects": "answer"}

`samples/questions.jsonl` is such a file. The questions are for evaluation only, never for training.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from doctune.errors import EvaluationError
from doctune.validation import first_problem

Expects = Literal["answer", "correction", "refusal"]


class Question(BaseModel):
    """A question, and how its answer is graded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: str = Field(min_length=1)
    answer: str = Field(min_length=1, description="A right answer in full.")
    key_facts: tuple[str, ...] = Field(
        default=(),
        description="The facts that a right answer must contain; `|` separates wordings of one "
        "fact; yes and no are the answers to yes/no questions.",
    )
    fact: str = Field(default="", description="The fact in the document's own words.")
    source: str = Field(default="", description="The file's name.")
    page: int = Field(default=0, ge=0, description="1-based; 0 if the documents have no answer.")
    kind: str = Field(default="", description="What is asked for: number, name, procedure...")
    expects: Expects = Field(
        default="answer",
        description="answer; correction, if the question has a false presupposition; "
        "or refusal, if the documents have no answer.",
    )

    @model_validator(mode="after")
    def _can_be_judged(self) -> Question:
        if self.expects != "refusal" and not self.key_facts:
            raise ValueError("a question with an answer needs key_facts")
        if self.expects == "refusal" and (self.key_facts or self.page):
            raise ValueError("a question that expects a refusal has neither key_facts nor page")
        return self


def load_questions(path: Path) -> tuple[Question, ...]:
    """Reads a file of questions.

    Raises:
        EvaluationError: The file is missing, empty, or a line is not a question.
    """
    questions = []
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    questions.append(_question(line, path, number))
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(f"The questions in {path} cannot be read: {error}.") from error
    if not questions:
        raise EvaluationError(f"{path} holds no question: give one JSON object a line.")
    return tuple(questions)


def sample_questions(questions: Sequence[Question], most: int, seed: int) -> tuple[Question, ...]:
    """Returns about `most` questions in their order; each kind of `expects` keeps its share."""
    if len(questions) <= most:
        return tuple(questions)
    rng = np.random.default_rng(seed)
    kept: list[int] = []
    for expects in sorted({question.expects for question in questions}):
        group = [at for at, question in enumerate(questions) if question.expects == expects]
        count = max(1, round(most * len(group) / len(questions)))
        kept.extend(int(at) for at in rng.choice(group, count, replace=False))
    return tuple(questions[at] for at in sorted(kept))


def _question(line: str, path: Path, number: int) -> Question:
    try:
        return Question.model_validate_json(line)
    except ValidationError as error:
        reason = first_problem(error)
        raise EvaluationError(f"{path}, line {number} is not a question: {reason}.") from error
