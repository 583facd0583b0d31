"""Refusals, repetitions, faithfulness: what the heuristics see and what they do not."""

import pytest

from doctune.evaluation.behaviour import (
    count_words,
    faithfulness,
    is_refusal,
    is_repetitive,
    unsupported_terms,
)

PASSAGE = "Drain the boiler every 40 days. The drain valve holds 2.5 litres and opens to the left."
QUESTION = "How often is the boiler drained?"


@pytest.mark.parametrize(
    "answer",
    [
        "I'm sorry, but I can't help with that.",
        "I cannot answer this question.",
        "As an AI language model, I have no hands.",
        "Unfortunately the text does not say.",
        "I don\u2019t know.",
        "  ",
    ],
)
def test_a_refusal_is_seen(answer: str) -> None:
    assert is_refusal(answer)


@pytest.mark.parametrize(
    "answer", ["Close the valve. I cannot stress this enough.", "Sorrel grows here.", "No."]
)
def test_an_answer_is_not_taken_for_a_refusal(answer: str) -> None:
    assert not is_refusal(answer)


def test_going_round_in_circles_is_seen() -> None:
    assert is_repetitive("turn the valve left and " * 4)
    assert not is_repetitive("Turn the valve left, then turn the valve left again.")


def test_words_and_numbers_are_counted() -> None:
    assert count_words("It holds 2.5 litres (about).") == 5


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("Every 40 days.", 1.0),
        ("The valve opens to the left.", 1.0),
        ("Every 90 days.", 2 / 5),  # a wrong number counts as three words
        ("Replace the turbine.", 0.0),
    ],
)
def test_faithfulness_is_the_share_that_the_passage_says(answer: str, value: float) -> None:
    assert faithfulness(answer, QUESTION, PASSAGE) == pytest.approx(value)


@pytest.mark.parametrize(("answer", "passage"), [("Every 40 days.", ""), ("The boiler.", PASSAGE)])
def test_faithfulness_is_undefined_without_passage_or_addition(answer: str, passage: str) -> None:
    assert faithfulness(answer, QUESTION, passage) is None


def test_what_has_no_support_can_be_listed() -> None:
    found = unsupported_terms("Drain the turbine every 90 days.", QUESTION, PASSAGE)
    assert found == ["90", "turbine"]
