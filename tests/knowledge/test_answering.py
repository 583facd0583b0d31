"""Answers to what users ask, from a manual that no model has seen."""

import pytest

from doctune.knowledge import REFUSAL, Answerer


@pytest.mark.parametrize(
    ("question", "facts"),
    [
        ("how often do i rinse the arlo's filter", ["every 14 days"]),
        ("What does E09 mean?", ["Lid open", "Close the lid"]),
        ("How many watts does the Arlo 3 draw while it grinds?", ["310 watts"]),
        ("How do I start the machine?", ["Fill the tank", "Close the lid", "green key"]),
        ("How soon is a claim answered?", ["within 5 working days"]),
    ],
)
def test_the_fact_is_quoted_with_its_page(
    answerer: Answerer, question: str, facts: list[str]
) -> None:
    answer = answerer.answer(question)

    assert all(fact in answer.answer for fact in facts), answer.answer
    assert answer.sources[0].page == 1
    assert any(fact in answer.sources[0].text for fact in facts)


def test_only_the_column_that_is_asked_for_is_read_out(answerer: Answerer) -> None:
    answer = answerer.answer("How many watts does the Arlo 3 draw while it grinds?")

    assert "480" not in answer.answer


@pytest.mark.parametrize(
    ("question", "side"),
    [
        ("Can the bowl go into the dishwasher?", "No"),
        ("Is the filter covered by the warranty?", "No"),
        ("Is the motor covered for three years?", "Yes"),
        ("Is the motor covered for five years?", "No"),
        ("May I clean the filter with soap?", "No"),
    ],
)
def test_a_yes_or_no_comes_first(answerer: Answerer, question: str, side: str) -> None:
    assert answerer.answer(question).answer.startswith(side)


def test_a_wrong_premise_is_corrected(answerer: Answerer) -> None:
    answer = answerer.answer("Which soap should I use for the filter of the Arlo 3?")

    assert answer.answer.startswith("No: ")
    assert "Do not use soap" in answer.answer


@pytest.mark.parametrize(
    "question", ["Who founded the company?", "What is the capital of France?", "Wi-Fi password?"]
)
def test_what_the_documents_do_not_say_is_refused(answerer: Answerer, question: str) -> None:
    answer = answerer.answer(question)

    assert (answer.answer, answer.sources) == (REFUSAL, ())
