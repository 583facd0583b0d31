"""Negation, its reach, and the side that an answer takes."""

import pytest

from doctune.evaluation.wording import has_all, opposes, side_of, words_of


def negated(text: str) -> set[str]:
    return {word.text for word in words_of(text) if word.negated}


@pytest.mark.parametrize(
    ("text", "word", "expected"),
    [
        ("It has passed the skeen but not the marlet.", "marlet", True),
        ("It has passed the skeen but not the marlet.", "skeen", False),
        ("No, the cistern is full.", "full", False),
        ("Never more than 25 crowns.", "crowns", False),
        ("It is free of copper.", "copper", True),
        ("It is free of charge.", "charge", False),
        ("Not the tenant but the landlord.", "landlord", False),
        ("Use remove rather than purge.", "purge", True),
        ("It is not only cheap.", "cheap", False),
        ("It wasn\u2019t the valve.", "valve", True),
    ],
)
def test_a_negation_reaches_its_clause(text: str, word: str, expected: bool) -> None:
    assert (word in negated(text)) is expected


@pytest.mark.parametrize(
    ("answer", "side"),
    [
        ("Yes, with care.", "yes"),
        ("No.", "no"),
        ("Not on a flight that short.", "no"),
        ("Do not wash a filter and use it again.", "no"),
        ("A washed filter must never be used again.", "no"),
        ("Washing a filter is forbidden.", "no"),
        ("A filter can be washed.", "yes"),
        ("No more than 8 filters can be washed.", "yes"),
    ],
)
def test_the_side_of_an_answer(answer: str, side: str) -> None:
    assert side_of(answer, "Can I wash a filter and use it again?") == side


def test_words_must_stand_as_the_reference_has_them() -> None:
    reference = words_of("Any paint that holds no copper.")
    assert has_all(["copper"], words_of("Paint without copper."), reference=reference)
    assert not has_all(["copper"], words_of("Copper paint."), reference=reference)


def test_a_rise_opposes_a_fall() -> None:
    assert opposes("It fell by 18 %.", "It grew by 18 %.")
    assert not opposes("It did not fall, it grew.", "It grew by 18 %.")
    assert not opposes("It came to 18 %.", "It grew by 18 %.")
