"""A retraining is released if it breaks nothing and is better, on the test set or corrections."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from doctune.feedback.regressions import Case, judge_regressions, may_release, read_cases

OLD = tuple(Case((f"How heavy is part {n}?",), f"Part {n} weighs {n} kg.") for n in range(1, 5))
TAUGHT = tuple(
    Case(
        (f"How long is rope {n}?", f"What is the length of rope {n}?"),
        f"Rope {n} is {n} metres long.",
    )
    for n in range(10, 18)
)


@dataclass(frozen=True)
class Said:
    answer: str


@dataclass(frozen=True)
class Knows:
    """A product that knows some cases, and says of others that the documents do not."""

    cases: tuple[Case, ...]

    def __call__(self, questions: Sequence[str]) -> list[Said]:
        known = {question: one.answer for one in self.cases for question in one.questions}
        return [Said(known.get(question, "The documents do not say.")) for question in questions]


@pytest.mark.parametrize(
    ("knows", "champion", "outcome", "released"),
    [
        ((*OLD, *TAUGHT), OLD, "tie", True),
        ((*OLD, *TAUGHT), OLD, "win", True),
        ((*OLD, *TAUGHT), OLD, "lose", False),
        ((*OLD, *TAUGHT), None, "no_incumbent", True),
        (OLD, OLD, "tie", False),
        (OLD, OLD, "win", True),
        ((*OLD, *TAUGHT[:4]), OLD, "tie", False),  # four could be chance
        ((*OLD, *TAUGHT[:5]), OLD, "tie", True),
        ((*OLD[1:], *TAUGHT), OLD, "tie", False),
        ((*OLD[1:], *TAUGHT), OLD, "win", False),
        ((*OLD, *TAUGHT[:6]), (*OLD, *TAUGHT[6:]), "tie", False),
    ],
)
def test_a_version_is_released_if_it_breaks_nothing_and_is_better(
    knows: tuple[Case, ...], champion: tuple[Case, ...] | None, outcome: str, released: bool
) -> None:
    rival = None if champion is None else Knows(champion)

    verdict = judge_regressions(Knows(knows), rival, OLD, TAUGHT)

    passed = outcome in ("win", "no_incumbent")
    assert may_release(verdict, outcome, passed, above_base=True) is released
    assert not may_release(verdict, "tie", passed=False, above_base=False)


def test_a_correction_counts_only_if_it_is_right_in_all_its_words() -> None:
    first = Case(TAUGHT[0].questions[:1], TAUGHT[0].answer)

    verdict = judge_regressions(Knows((first, *TAUGHT[1:])), Knows(OLD), OLD, TAUGHT)

    assert verdict.scores == {
        "cases": 4,
        "right": 0,
        "champion_right": 4,
        "corrections_cases": 8,
        "corrections_right": 7,
        "corrections_champion_right": 0,
    }
    assert verdict.corrections.fixed == tuple(one.questions[0] for one in TAUGHT[1:])
    assert verdict.regressions.broken == tuple(one.questions[0] for one in OLD)


def test_cases_are_read_from_the_regression_set(tmp_path: Path) -> None:
    path = tmp_path / "regression.jsonl"
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "How heavy is it?"},
        {"role": "assistant", "content": "It weighs 3 kg."},
    ]
    path.write_text(json.dumps({"messages": messages}) + "\n")

    assert read_cases(path) == [Case(("How heavy is it?",), "It weighs 3 kg.")]
    path.write_text("")
    assert read_cases(path) == []
