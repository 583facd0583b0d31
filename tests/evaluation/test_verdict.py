"""Every outcome of the gate, and its reason in one sentence."""

import pytest

from doctune.evaluation.options import EvaluationOptions
from doctune.evaluation.verdict import Verdict, decide

CLEAR = (0.10, 0.05, 0.15)
CHANCE = (0.01, -0.02, 0.04)
WORSE = (-0.10, -0.15, -0.05)


def scores_of(
    base: tuple[float, float, float] | None, champion: tuple[float, float, float] | None = None
) -> dict[str, float]:
    scores = {"rouge_l_tuned": 0.5}
    for opponent, key, gain in (
        ("base", "rouge_l_gain", base),
        ("champion", "rouge_l_champion_gain", champion),
    ):
        if gain is not None:
            scores[f"rouge_l_{opponent}"] = 0.5 - gain[0]
            scores |= {key: gain[0], f"{key}_low": gain[1], f"{key}_high": gain[2]}
    return scores


def verdict_of(
    scores: dict[str, float], *, examples: int = 100, champion: bool = True, min_gain: float = 0.0
) -> Verdict:
    options = EvaluationOptions(primary_metric="rouge_l", min_gain=min_gain)
    return decide(scores, examples=examples, has_champion=champion, options=options)


@pytest.mark.parametrize(
    ("base", "champion", "outcome", "passed"),
    [
        (CLEAR, CLEAR, "win", True),
        (CLEAR, CHANCE, "tie", False),
        (CHANCE, CLEAR, "tie", False),
        (CLEAR, WORSE, "lose", False),
        (WORSE, CLEAR, "lose", False),
        (WORSE, CHANCE, "lose", False),
    ],
)
def test_base_and_champion_must_both_be_beaten(
    base: tuple[float, float, float],
    champion: tuple[float, float, float],
    outcome: str,
    passed: bool,
) -> None:
    verdict = verdict_of(scores_of(base, champion))
    assert (verdict.outcome, verdict.passed) == (outcome, passed)


@pytest.mark.parametrize(
    ("base", "outcome", "passed"),
    [(CLEAR, "no_incumbent", True), (CHANCE, "tie", False), (WORSE, "lose", False)],
)
def test_without_a_champion_the_base_model_decides(
    base: tuple[float, float, float], outcome: str, passed: bool
) -> None:
    verdict = verdict_of(scores_of(base), champion=False)
    assert (verdict.outcome, verdict.passed) == (outcome, passed)


def test_a_gain_below_the_least_is_a_tie_that_names_it() -> None:
    verdict = verdict_of(scores_of(CLEAR, CLEAR), min_gain=0.2)
    assert verdict.outcome == "tie"
    assert "less than the least gain of 0.200" in verdict.reason


@pytest.mark.parametrize(
    "scores", [{}, scores_of(CLEAR), scores_of((float("nan"), 0.0, 1.0), CLEAR)]
)
def test_a_missing_metric_fails(scores: dict[str, float]) -> None:
    verdict = verdict_of(scores)
    assert (verdict.outcome, verdict.passed) == ("missing_metric", False)


def test_too_few_examples_fail_whatever_the_scores() -> None:
    verdict = verdict_of(scores_of(CLEAR, CLEAR), examples=7)
    assert (verdict.outcome, verdict.passed) == ("too_few_examples", False)
    assert "7 examples" in verdict.reason


def test_the_reason_of_perplexity_reads_as_a_sentence() -> None:
    scores = {
        "perplexity_tuned": 6.0,
        "perplexity_base": 10.0,
        "perplexity_gain": 0.4,
        "perplexity_gain_low": 0.35,
        "perplexity_gain_high": 0.45,
    }
    verdict = decide(scores, examples=50, has_champion=False, options=EvaluationOptions())
    assert verdict.reason == (
        "Perplexity is 40.0 % lower than the base model (6.00 against 10.00; gain, 95% interval: "
        "35.0 % to 45.0 %); there is no champion to beat."
    )
