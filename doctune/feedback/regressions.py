"""The regression set: questions that were once answered wrongly, and must not be again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from doctune.artifacts import local_folder
from doctune.evaluation.answer_accuracy import grade_answer
from doctune.files import text_lines


@dataclass(frozen=True)
class RegressionVerdict:
    """How a model and its champion do on the regression set.

    A version passes if it answers no fewer cases right than the champion: a case that broke must be
    made up for by one that was fixed.
    """

    cases: int
    right: int
    champion_right: int | None  # None where there is no champion
    broken: tuple[str, ...]  # questions that the champion answers right and the model does not
    fixed: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether the model may be released."""
        return self.champion_right is None or self.right >= self.champion_right

    @property
    def scores(self) -> dict[str, float]:
        """The counts by name; without a champion, its own is missing."""
        found: dict[str, float] = {"cases": self.cases, "right": self.right}
        if self.champion_right is not None:
            found["champion_right"] = self.champion_right
        return found


def judge_regressions(
    model: Path, champion_uri: str, regression_set: Path, max_new_tokens: int
) -> RegressionVerdict:
    """Asks both models every case.

    Args:
        model: Folder as tune_model writes it.
        champion_uri: The artifact of the incumbent; "" where there is none.
        regression_set: JSON Lines of chat examples; may be empty.

    Raises:
        ModelError: A model cannot be loaded.
    """
    cases = [json.loads(line) for _, line in text_lines(regression_set)]
    if not cases:
        return RegressionVerdict(0, 0, None, (), ())
    own = _right(model, cases, max_new_tokens)
    theirs = _right(local_folder(champion_uri), cases, max_new_tokens) if champion_uri else None
    questions = [str(case["messages"][-2]["content"]) for case in cases]
    pairs = list(zip(questions, own, theirs or own, strict=True))
    return RegressionVerdict(
        cases=len(cases),
        right=sum(own),
        champion_right=None if theirs is None else sum(theirs),
        broken=tuple(question for question, mine, other in pairs if other and not mine),
        fixed=tuple(question for question, mine, other in pairs if mine and not other),
    )


def _right(model: Path, cases: list[dict[str, Any]], max_new_tokens: int) -> list[bool]:
    from doctune.inference.generation import TextGenerator
    from doctune.inference.options import GenerationOptions

    generator = TextGenerator.load(model / "model")
    answers = generator.generate(
        [case["messages"][:-1] for case in cases], GenerationOptions(max_new_tokens=max_new_tokens)
    )
    return [
        grade_answer(
            str(case["messages"][-2]["content"]),
            answer.text,
            reference=str(case["messages"][-1]["content"]),
        ).right
        for case, answer in zip(cases, answers, strict=True)
    ]
