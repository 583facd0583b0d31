"""Every outcome of the gate, and its reason in one sentence."""

from typing import Any

import pytest

from doctune.evaluation.options import EvaluationOptions, Guardrail, RequiredSlice
from doctune.evaluation.score_card import ScoreCard, StoredGain, StoredSlice
from doctune.evaluation.verdict import Verdict, decide

Numbers = tuple[float, float, float]
CLEAR: Numbers = (0.10, 0.05, 0.15)
CHANCE: Numbers = (0.01, -0.02, 0.04)
WORSE: Numbers = (-0.10, -0.15, -0.05)


def stored(numbers: Numbers, p: float = 0.001) -> StoredGain:
    value, low, high = numbers
    return StoredGain(value=value, low=low, high=high, p=p, p_corrected=p)


def card_of(
    base: Numbers | None,
    champion: Numbers | None = None,
    *,
    has_champion: bool = False,
    metric: str = "rouge_l",
    **more: Any,
) -> ScoreCard:
    gains = {
        opponent: {metric: stored(numbers)}
        for opponent, numbers in (("base", base), ("champion", champion))
        if numbers is not None
    }
    champions = ("champion",) if has_champion or champion else ()
    fields: dict[str, Any] = {
        "primary_metric": metric,
        "confidence": 0.95,
        "examples": 100,
        "test_digest": "0" * 64,
        "models": ("base", "tuned", *champions),
        "created": "2026-01-01T00:00:00+00:00",
        "scores": {},
        "gains": gains,
    }
    return ScoreCard(**{**fields, **more})


def verdict_of(card: ScoreCard, **policy: Any) -> Verdict:
    return decide(card, EvaluationOptions(primary_metric="rouge_l", **policy))


def slice_of(numbers: Numbers, *, value: str = "table", examples: int = 20) -> StoredSlice:
    gains = {"base": {"rouge_l": stored(numbers)}}
    return StoredSlice(by="kind", value=value, examples=examples, gains=gains)


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
    base: Numbers, champion: Numbers, outcome: str, passed: bool
) -> None:
    verdict = verdict_of(card_of(base, champion))
    assert (verdict.outcome, verdict.passed) == (outcome, passed)


@pytest.mark.parametrize(
    ("base", "outcome", "passed"),
    [(CLEAR, "no_incumbent", True), (CHANCE, "tie", False), (WORSE, "lose", False)],
)
def test_without_a_champion_the_base_model_decides(
    base: Numbers, outcome: str, passed: bool
) -> None:
    verdict = verdict_of(card_of(base))
    assert (verdict.outcome, verdict.passed) == (outcome, passed)


def test_a_gain_below_the_least_is_a_tie_that_names_it() -> None:
    verdict = verdict_of(card_of(CLEAR, CLEAR), min_gain=0.2)
    assert verdict.outcome == "tie"
    assert "less than the least gain of 0.200" in verdict.reason


UNPROVEN = (0.05, -0.01, 0.11)


@pytest.mark.parametrize(
    ("card", "first_release", "outcome"),
    [
        (card_of(UNPROVEN), "proven", "tie"),
        (card_of(UNPROVEN), "better", "no_incumbent"),
        (card_of((-0.05, -0.11, 0.01)), "better", "tie"),
        (card_of(CLEAR, UNPROVEN), "better", "tie"),
    ],
    ids=["by default", "any gain will do", "no gain", "a champion to replace"],
)
def test_a_first_release_may_be_content_with_a_gain_that_could_be_chance(
    card: ScoreCard, first_release: str, outcome: str
) -> None:
    verdict = verdict_of(card, first_release=first_release)
    assert verdict.outcome == outcome
    assert "could be chance" in verdict.reason


@pytest.mark.parametrize(
    "card",
    [card_of(None), card_of(CLEAR, has_champion=True), card_of(CLEAR, CLEAR, metric="bleu")],
    ids=["nothing", "no comparison with the champion", "another metric only"],
)
def test_a_missing_metric_fails(card: ScoreCard) -> None:
    verdict = verdict_of(card)
    assert (verdict.outcome, verdict.passed) == ("missing_metric", False)
    assert verdict.reason.startswith("ROUGE-L could not be compared with")


def test_too_few_examples_fail_whatever_the_scores() -> None:
    verdict = verdict_of(card_of(CLEAR, CLEAR, examples=7))
    assert (verdict.outcome, verdict.passed) == ("too_few_examples", False)
    assert verdict.reason == "The test set has 7 examples, and a decision needs at least 8."


def test_the_reason_reads_as_a_sentence() -> None:
    scores = {"perplexity_tuned": 6.0, "perplexity_base": 10.0}
    card = card_of((0.4, 0.35, 0.45), metric="perplexity", scores=scores)
    assert decide(card, EvaluationOptions(primary_metric="perplexity")).reason == (
        "Perplexity is 40.0 % lower than the base model's (6.00 against 10.00; gain, 95% "
        "interval: 35.0 % to 45.0 %); there is no champion to beat."
    )


def with_guard(numbers: Numbers) -> ScoreCard:
    gains = {"base": {"rouge_l": stored(CLEAR), "faithfulness": stored(numbers)}}
    return card_of(CLEAR, gains=gains)


@pytest.mark.parametrize(
    ("numbers", "outcome"),
    [((-0.01, -0.02, 0.0), "no_incumbent"), ((-0.01, -0.06, 0.04), "lose"), (WORSE, "lose")],
    ids=["surely within", "not shown to be within", "surely beyond"],
)
def test_a_guardrail_holds_only_when_that_is_shown_with_confidence(
    numbers: Numbers, outcome: str
) -> None:
    guard = Guardrail(metric="faithfulness", max_loss=0.05)
    verdict = verdict_of(with_guard(numbers), guardrails=(guard,))
    assert verdict.outcome == outcome
    if outcome == "lose":
        assert "breaks the guardrail of at most 0.050 worse" in verdict.reason


def test_a_guardrail_without_its_metric_fails() -> None:
    verdict = verdict_of(card_of(CLEAR), guardrails=(Guardrail(metric="similarity"),))
    assert verdict.outcome == "missing_metric"
    assert "Semantic similarity" in verdict.reason


def test_a_guardrail_against_the_champion_alone_leaves_the_base_out() -> None:
    gains = {
        "base": {"rouge_l": stored(CLEAR), "bleu": stored(WORSE)},
        "champion": {"rouge_l": stored(CLEAR), "bleu": stored(CLEAR)},
    }
    card = card_of(CLEAR, CLEAR, gains=gains)
    only = Guardrail(metric="bleu", against="champion")
    assert verdict_of(card, guardrails=(only,)).outcome == "win"
    assert verdict_of(card, guardrails=(Guardrail(metric="bleu"),)).outcome == "lose"


def test_a_slice_that_got_worse_fails_and_is_named_beside_the_good_average() -> None:
    card = card_of(CLEAR, slices=(slice_of(CLEAR, value="section"), slice_of(WORSE)))
    verdict = verdict_of(card)
    assert verdict.outcome == "lose"
    assert verdict.reason.startswith("ROUGE-L is 0.100 higher than the base model's")
    assert "but on the slice kind table (20 examples)" in verdict.reason
    assert verdict_of(card, slice_regressions="report").passed


def test_a_slice_that_may_be_worse_by_chance_does_not_fail() -> None:
    part = StoredSlice(
        by="kind", value="table", examples=20, gains={"base": {"rouge_l": stored(WORSE, p=0.2)}}
    )
    assert verdict_of(card_of(CLEAR, slices=(part,))).passed


@pytest.mark.parametrize(
    ("slices", "outcome"),
    [
        ((), "too_few_examples"),
        ((slice_of(CLEAR, examples=8),), "too_few_examples"),
        ((slice_of(CHANCE),), "no_incumbent"),
        ((slice_of(WORSE),), "lose"),
    ],
    ids=["missing", "too small", "no loss shown", "worse"],
)
def test_a_required_slice_must_be_there_and_not_get_worse(
    slices: tuple[StoredSlice, ...], outcome: str
) -> None:
    required = RequiredSlice(by="kind", value="table", min_examples=10)
    verdict = verdict_of(card_of(CLEAR, slices=slices), required_slices=(required,))
    assert verdict.outcome == outcome
    if outcome != "no_incumbent":
        assert "kind table" in verdict.reason


def test_a_required_slice_may_look_at_another_metric() -> None:
    required = RequiredSlice(by="kind", value="table", metric="bleu")
    verdict = verdict_of(card_of(CLEAR, slices=(slice_of(CLEAR),)), required_slices=(required,))
    assert verdict.outcome == "missing_metric"


def test_every_rule_that_was_looked_at_is_listed() -> None:
    verdict = verdict_of(card_of(CLEAR, CLEAR, slices=(slice_of(CLEAR),)))
    assert [check.rule for check in verdict.checks] == ["examples", "primary", "primary", "slices"]


def test_by_default_what_decides_is_whether_answers_are_right() -> None:
    scores = {"answer_accuracy_tuned": 0.7, "answer_accuracy_base": 0.4}
    card = card_of((0.3, 0.2, 0.4), metric="answer_accuracy", scores=scores)
    verdict = decide(card, EvaluationOptions())
    assert verdict.passed
    assert verdict.reason.startswith("Answers right is 0.300 higher than the base model's (0.700")


SAME: Numbers = (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("from_memory", "outcome"), [(CLEAR, "win"), (CHANCE, "tie"), (WORSE, "lose"), (None, "x")]
)
def test_where_both_products_give_the_same_answers_memory_decides(
    from_memory: Numbers | None, outcome: str
) -> None:
    """Two products that quote from one index say the same; what is released is the model."""
    champion = {"answer_accuracy": stored(SAME)}
    if from_memory:
        champion["answer_accuracy_closed"] = stored(from_memory)
    card = card_of(CLEAR, has_champion=True, metric="answer_accuracy")
    gains = {"base": {"answer_accuracy": stored(CLEAR)}, "champion": champion}
    verdict = decide(card.model_copy(update={"gains": gains}), EvaluationOptions())
    assert verdict.outcome == (outcome if from_memory else "missing_metric")
    if outcome != "win":
        assert "he product's answers are the champion's; answers right, from memory" in (
            verdict.reason
        )


@pytest.mark.parametrize(
    ("product", "closed", "limit", "outcome"),
    [
        (0.0, 0.0, 0.05, "no_incumbent"),
        (-0.04, -0.05, 0.05, "no_incumbent"),
        (0.0, -0.06, 0.05, "lose"),  # the product quotes, but the model's own answers got worse
        (-0.06, 0.1, 0.05, "lose"),
        (-0.06, 0.1, 0.1, "no_incumbent"),
    ],
)
def test_an_engine_that_loses_right_answers_beyond_its_limit_is_refused(
    product: float, closed: float, limit: float, outcome: str
) -> None:
    card = card_of(CLEAR)
    lost = {
        "answer_accuracy": stored((product, -1, 1)),
        "answer_accuracy_closed": stored((closed, -1, 1)),
    }
    card = card.model_copy(
        update={"models": (*card.models, "native"), "gains": {**card.gains, "native": lost}}
    )
    verdict = verdict_of(card, engine="openvino", max_engine_loss=limit)
    assert verdict.outcome == outcome
    assert ("by the engine openvino than in full precision" in verdict.reason) == (
        outcome == "lose"
    )


def test_an_engine_whose_answers_could_not_be_compared_is_not_released() -> None:
    card = card_of(CLEAR)
    card = card.model_copy(update={"models": (*card.models, "native")})
    assert verdict_of(card, engine="openvino").outcome == "missing_metric"
