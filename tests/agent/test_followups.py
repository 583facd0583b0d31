"""Follow-up questions, put so that they can be read alone."""

import pytest

from doctune.agent.followups import Turn, standalone


def after(before: str, question: str, answer: str = "") -> str:
    return standalone(question, [Turn(before, answer)])


@pytest.mark.parametrize(
    ("before", "question", "expected"),
    [
        (
            "How many litres does the Nimbrel 7 give a day?",
            "And on the Nimbrel 12?",
            "How many litres does the Nimbrel 12 give a day?",
        ),
        (
            "How many litres does the Nimbrel 7 give a day?",
            "and the 12?",
            "How many litres does the Nimbrel 12 give a day?",
        ),
        ("What does A02 mean?", "and R16?", "What does R16 mean?"),
        (
            "When must the skeen be replaced?",
            "What about the marlet?",
            "When must the marlet be replaced?",
        ),
        (
            "How often is the drape brailed in winter?",
            "and in summer?",
            "How often is the drape brailed in summer?",
        ),
        ("Must the skeen be replaced?", "How often?", "How often must the skeen be replaced?"),
        ("How is the lid wiped?", "And how often?", "How often is the lid wiped?"),
        ("May I use soap?", "Why not?", "Why may I use soap?"),
        ("What is a wring?", "How long does it last?", "How long does the wring last?"),
        (
            "Where do I find the marlet?",
            "What is its part number?",
            "What is the marlet's part number?",
        ),
        (
            "How do I clean the skeen?",
            "Can I wash it with soap?",
            "Can I wash the skeen with soap?",
        ),
        (
            "How are the guy lines fixed?",
            "How many of them are there?",
            "How many of the guy lines are there?",
        ),
        (
            "What does the serial number tell me?",
            "Where do I find it?",
            "Where do I find the serial number?",
        ),
        (
            "Where do I order spare parts?",
            "How quickly are they posted?",
            "How quickly are spare parts posted?",
        ),
    ],
)
def test_a_follow_up_becomes_a_question_of_its_own(
    before: str, question: str, expected: str
) -> None:
    assert after(before, question) == expected


@pytest.mark.parametrize(
    "question",
    [
        "How often is the filter rinsed?",
        "The drape rests now and then, right? How long and how often is that?",
        "Is it true that the warranty is void without registration?",
        "Does it take long to install the unit?",
        "My unit tipped over, can I just stand it up with the sand in and switch it on?",
        "What is the price of the Nimbrel 7?",
    ],
)
def test_a_question_that_stands_alone_is_left_as_it_is(question: str) -> None:
    assert after("What is a wring?", question) == question


def test_without_a_turn_before_nothing_is_changed() -> None:
    assert standalone("And on the Nimbrel 12?", []) == "And on the Nimbrel 12?"


def test_it_may_stand_for_what_the_answer_named() -> None:
    asked = after("Which part do I order?", "What does it cost?", "Order the cloth TK-0007.")
    assert asked == "What does TK-0007 cost?"


def test_a_follow_up_of_a_follow_up_keeps_what_it_is_about() -> None:
    first = Turn("How many litres does the Nimbrel 7 give a day?", "44 litres.")
    second = standalone("And on the Nimbrel 12?", [first])
    third = standalone("and the Nimbrel 3?", [first, Turn(second, "66 litres.")])
    assert third == "How many litres does the Nimbrel 3 give a day?"
