"""The form of a question, however it is put."""

import pytest

from doctune.knowledge.questions import read_question


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("may i wash the filter", "yes_no"),
        ("Can you tell me how long the motor is covered?", "time"),
        ("My water tastes of salt. What should I do?", "how_to"),
        ("I can't eat salt - is there a cartridge without it?", "yes_no"),
        ("I'd like to know whether the drape may be folded", "yes_no"),
        ("whats the blue cloth cost", "price"),
        ("How heavy is it when it is dry?", "count"),
        ("when does the desk open", "time"),
        ("Why does it hum?", "reason"),
        ("Which tools do I need?", "list"),
        ("The lid is open, right?", "yes_no"),
        ("What is a skeen?", "definition"),
        ("cost centre meaning", "definition"),
        ("whats the price of a lid", "price"),
        ("Who pays for a blocked drain?", "open"),
        ("what is the right time for a shot", "time"),
        ("how do i pay my fee", "how_to"),
        ("where do i pay my fee", "open"),
        ("how much does the conductor earn", "price"),
        ("what is the maximum weight of a bowl", "count"),
        ("isnt the lid covered", "yes_no"),
    ],
)
def test_the_form_is_read_from_the_clause_that_asks(text: str, form: str) -> None:
    assert read_question(text).form == form


def test_contractions_are_read_as_their_words() -> None:
    assert read_question("whats the fee, u know?").text == "what is the fee, you know?"
    assert read_question("Can I send U S mail?").text == "Can I send U S mail?"
