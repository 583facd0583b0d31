"""What users once got wrong: the regression set, and the corrections that a version was taught.

Both are asked of the products, as users get them, of the new version and of the champion. The
regression set is never learnt, so it shows what broke. The corrections are learnt, so right answers
to them show only that the version gives what reviewers accepted; the champion does not. That is
what a retraining on feedback is for, and the test set does not contain it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from doctune.evaluation.answer_accuracy import grade_answer
from doctune.files import text_lines
from doctune.vertex.canary import binomial_tail

_SIGNIFICANCE = 0.05


class Answered(Protocol):
    """An answer of a product."""

    @property
    def answer(self) -> str:
        """The text of the answer."""


Ask = Callable[[Sequence[str]], Sequence[Answered]]  # the questions to a product's answers


@dataclass(frozen=True)
class Case:
    """Something that was once answered wrongly: its phrasings, and the right answer."""

    questions: tuple[str, ...]
    answer: str


@dataclass(frozen=True)
class Comparison:
    """How many cases a version and the champion answer right, in all their phrasings.

    Attributes:
        champion_right: None if there is no champion.
        broken: First phrasings of the cases that only the champion answers right.
        fixed: First phrasings of the cases that only the version answers right.
    """

    cases: int
    right: int
    champion_right: int | None
    broken: tuple[str, ...]
    fixed: tuple[str, ...]


@dataclass(frozen=True)
class RegressionVerdict:
    """How a version and the champion do on what users once got wrong."""

    regressions: Comparison
    corrections: Comparison

    @property
    def passed(self) -> bool:
        """Whether no fewer cases of the regression set are right than the champion's."""
        champion = self.regressions.champion_right
        return champion is None or self.regressions.right >= champion

    @property
    def improves(self) -> bool:
        """Whether more cases are right than the champion's, beyond chance (one-sided sign test)."""
        fixed = len(self.regressions.fixed) + len(self.corrections.fixed)
        broken = len(self.regressions.broken) + len(self.corrections.broken)
        return binomial_tail(fixed, fixed + broken, 0.5) <= _SIGNIFICANCE

    @property
    def scores(self) -> dict[str, float]:
        """The counts by name; without a champion, its own are missing."""
        found: dict[str, float] = {}
        for prefix, part in (("", self.regressions), ("corrections_", self.corrections)):
            found |= {f"{prefix}cases": part.cases, f"{prefix}right": part.right}
            if part.champion_right is not None:
                found[f"{prefix}champion_right"] = part.champion_right
        return found


def may_release(verdict: RegressionVerdict, outcome: str, passed: bool, above_base: bool) -> bool:
    """Returns whether a version may be released.

    It passed its evaluation, or it ties with the champion there and answers more of what users once
    got wrong. In both cases, the regression set must not have got worse.

    Args:
        outcome: That of the evaluation.
        passed: Whether the version passed it.
        above_base: Whether its gain over the base model is positive. It need not be significant
            here: the champion, which it equals, was released over the base model.
    """
    tie = outcome == "tie" and above_base
    return verdict.passed and (passed or (tie and verdict.improves))


def read_cases(regression_set: Path) -> list[Case]:
    """Returns the cases of a regression set: JSON Lines of chat examples; may be empty."""
    rows = (json.loads(line)["messages"] for _, line in text_lines(regression_set))
    return [Case((str(row[-2]["content"]),), str(row[-1]["content"])) for row in rows]


def judge_regressions(
    version: Ask, champion: Ask | None, cases: Sequence[Case], corrections: Sequence[Case]
) -> RegressionVerdict:
    """Asks both products every case in all its phrasings.

    Args:
        version: Answers as the product of the new version.
        champion: Answers as the champion's product; None if there is no champion.
        cases: The regression set.
        corrections: What the version was taught.

    Raises:
        ModelError: A model cannot be loaded.
    """
    return RegressionVerdict(
        _compare(version, champion, cases), _compare(version, champion, corrections)
    )


def _compare(version: Ask, champion: Ask | None, cases: Sequence[Case]) -> Comparison:
    own = _right(version, cases)
    theirs = None if champion is None else _right(champion, cases)
    rows = list(zip((case.questions[0] for case in cases), own, theirs or own, strict=True))
    return Comparison(
        cases=len(cases),
        right=sum(own),
        champion_right=None if theirs is None else sum(theirs),
        broken=tuple(question for question, mine, other in rows if other and not mine),
        fixed=tuple(question for question, mine, other in rows if mine and not other),
    )


def _right(ask: Ask, cases: Sequence[Case]) -> list[bool]:
    asked = [(case, question) for case in cases for question in case.questions]
    answers = ask([question for _, question in asked]) if asked else ()
    wrong = {
        case
        for (case, question), answer in zip(asked, answers, strict=True)
        if not grade_answer(question, answer.answer, reference=case.answer).right
    }
    return [case not in wrong for case in cases]
