"""Where each rule of the gate begins and ends: what mutants of it showed to be untested."""

import pytest

from doctune.evaluation.catalog import METRICS
from doctune.evaluation.options import AnswerBounds, Guardrail, RequiredSlice
from doctune.evaluation.score_card import ProductAnswers
from doctune.evaluation.verdict import describe_gain, format_gain
from tests.evaluation.test_verdict import (
    CHANCE,
    CLEAR,
    WORSE,
    Numbers,
    card_of,
    slice_of,
    verdict_of,
    with_guard,
)


@pytest.mark.parametrize(("examples", "passed"), [(8, True), (7, False)])
def test_just_enough_examples_are_enough(examples: int, passed: bool) -> None:
    assert verdict_of(card_of(CLEAR, examples=examples), min_examples=8).passed == passed


@pytest.mark.parametrize(
    ("numbers", "outcome"),
    [
        ((-0.05, -0.10, 0.0), "tie"),
        ((-0.05, -0.10, -0.001), "lose"),
        ((0.05, 0.0, 0.10), "tie"),
        ((0.05, 0.001, 0.10), "no_incumbent"),
    ],
)
def test_an_interval_that_touches_zero_could_be_chance(numbers: Numbers, outcome: str) -> None:
    assert verdict_of(card_of(numbers)).outcome == outcome


def test_a_gain_of_just_the_least_is_enough() -> None:
    assert verdict_of(card_of(CLEAR), min_gain=CLEAR[0]).passed


def test_no_gain_at_all_is_no_better_first_release() -> None:
    assert verdict_of(card_of((0.0, -0.1, 0.1)), first_release="better").outcome == "tie"


@pytest.mark.parametrize(
    ("right", "unsupported", "refused", "broken"),
    [
        (3, 0.1, 0.2, []),
        (2, 0.1, 0.2, ["2 of 6 questions right, less than the floor of 50 %"]),
        (3, 0.11, None, ["Unsupported answers are 11 %, over the bound of 10 %"]),
        (3, None, 0.21, ["Wrong refusals are 21 %, over the bound of 20 %"]),
    ],
)
def test_the_products_bounds_hold_up_to_their_values(
    right: int, unsupported: float | None, refused: float | None, broken: list[str]
) -> None:
    product = ProductAnswers(
        answering="quote",
        questions=6,
        right=right,
        grounded=True,
        low=0.1,
        high=0.9,
        unsupported=unsupported,
        refused_wrong=refused,
    )
    bounds = AnswerBounds(least_right=0.5, most_unsupported=0.1, most_refused_wrong=0.2)
    verdict = verdict_of(card_of(CLEAR, product=product), bounds=bounds)

    assert verdict.outcome == ("lose" if broken else "no_incumbent")
    assert all(text.lower() in verdict.reason.lower() for text in broken)
    rules = [check for check in verdict.checks if check.rule in ("floor", "bound")]
    assert len(rules) == 1 + (unsupported is not None) + (refused is not None)
    held = [check.text for check in rules if check.outcome == "win"]
    assert all("no less than" in text or "within the bound" in text for text in held)
    from_memory = product.model_copy(update={"grounded": False, "right": 0})
    assert verdict_of(card_of(CLEAR, product=from_memory), bounds=bounds).passed


def test_a_guardrail_holds_up_to_its_value() -> None:
    guard = Guardrail(metric="faithfulness", max_loss=0.05)
    assert verdict_of(with_guard((-0.01, -0.05, 0.0)), guardrails=(guard,)).passed


@pytest.mark.parametrize(
    ("numbers", "examples", "outcome"),
    [
        ((-0.10, -0.15, -0.05), 10, "no_incumbent"),  # just as bad as it may be
        ((-0.10, -0.15, -0.06), 10, "lose"),
        (CHANCE, 10, "no_incumbent"),
        (CHANCE, 9, "too_few_examples"),
    ],
)
def test_a_required_slice_may_lose_what_it_is_allowed(
    numbers: Numbers, examples: int, outcome: str
) -> None:
    required = RequiredSlice(by="kind", value="table", min_examples=10, max_loss=0.05)
    card = card_of(CLEAR, slices=(slice_of(numbers, examples=examples),))
    verdict = verdict_of(card, required_slices=(required,), slice_regressions="report")
    assert verdict.outcome == outcome


@pytest.mark.parametrize(
    ("numbers", "examples", "passed"),
    [(WORSE, 10, False), (WORSE, 9, True), ((-0.10, -0.15, 0.0), 10, True)],
)
def test_a_slice_counts_from_its_least_size_and_loses_below_zero(
    numbers: Numbers, examples: int, passed: bool
) -> None:
    card = card_of(CLEAR, slices=(slice_of(numbers, examples=examples),))
    assert verdict_of(card, min_slice_examples=10).passed == passed


def test_a_good_result_is_told_only_where_the_decision_was_another_rules() -> None:
    assert ", but " not in verdict_of(card_of(CLEAR, WORSE)).reason
    guard = Guardrail(metric="faithfulness", max_loss=0.05)
    gains = {"base": {**with_guard(WORSE).gains["base"], **card_of(CHANCE).gains["base"]}}
    verdict = verdict_of(card_of(CHANCE, gains=gains), guardrails=(guard,))
    assert verdict.outcome == "lose"
    assert verdict.reason.startswith("Faithful")


def test_what_a_comparison_left_out_is_said_after_the_reason() -> None:
    verdict = verdict_of(card_of(CLEAR, fairness="two questions were learnt by the champion"))
    assert verdict.passed
    assert verdict.reason.endswith(
        "there is no champion to beat. Two questions were learnt by the champion."
    )


def test_numbers_that_round_to_nothing_have_no_sign() -> None:
    info = METRICS["rouge_l"]
    assert (format_gain(info, -0.0001), format_gain(info, -0.1)) == ("0.000", "-0.100")
    assert describe_gain(info, 0.0) == "ROUGE-L is 0.000 higher"
