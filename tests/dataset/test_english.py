"""Which questions the forms of English sentences give."""

import pytest

from doctune.dataset.names import Vocabulary
from doctune.dataset.records import Block, Document
from doctune.dataset.rules.english import question_of
from doctune.dataset.rules.verbs import base_form, is_imperative

TEXT = (
    "We fill the tank with water when the lamp is lit, and a filter holds what the pump sends. "
    "Every clerk of the Orvo likes the valve. Maintenance of a filter and the warranty cost little."
    " The refunds come late."
)
VOCABULARY = Vocabulary([Document("1", "a.pdf", "", "en", 1, (Block(1, 0, "paragraph", 0, TEXT),))])


@pytest.mark.parametrize(
    ("sentence", "question"),
    [
        ("To drain the tank, open the lower valve.", "How do I drain the tank?"),
        (
            "If the lamp blinks red, replace the cartridge.",
            "What should I do if the lamp blinks red?",
        ),
        ("If you lose your badge, you must tell the desk.", "What should I do if I lose my badge?"),
        ("When the level falls, the pump starts.", "What happens when the level falls?"),
        ("Only trained staff may open the housing.", "Who may open the housing?"),
        ("A wort is a ring of felt that seals the lid.", "What is a wort?"),
        ("The warranty is the promise of the maker.", "What is the warranty?"),
        ("The Orvo weighs 14 kilograms without water.", "How much does the Orvo weigh?"),
        ("A wash cycle takes about 25 minutes.", "How long does a wash cycle take?"),
        (
            "The pores of the filter are 0.4 micrometres wide.",
            "How wide are the pores of the filter?",
        ),
        ("The filter must be replaced every 90 days.", "How often must the filter be replaced?"),
        (
            "The sieve, part SI-2, must be replaced every 9 days.",
            "How often must the sieve be replaced?",
        ),
        ("The bridge was finished in May 1931.", "When was the bridge finished?"),
        ("Refunds are paid within 14 days.", "How soon are refunds paid?"),
        ("The key is kept in the drawer of the desk.", "Where is the key kept?"),
        ("The display has three lines in all.", "How many lines does the display have?"),
        ("The lower valve controls the flow of brine.", "What does the lower valve control?"),
    ],
)
def test_sentence_of_a_known_form_is_asked_for(sentence: str, question: str) -> None:
    found = question_of(sentence, VOCABULARY)

    assert found is not None
    assert question in found.texts


@pytest.mark.parametrize(
    "sentence",
    [
        "It also holds the filter in place.",
        "This valve controls the flow of brine.",
        "The tank is shown in Figure 3 with its lid.",
        "The following table lists the parts.",
        "If it breaks, call the desk.",
        "If the lamp is broken we send I another, free of charge.",
        "Later returns are not taken.",
        "In the evening the pump holds 3 litres.",
        "The valve holds it for a day.",
        "a fragment that holds the middle of a sentence.",
        "Valve holds brine",
        "What does the valve hold?",
        "To be precise, the pump starts at dawn.",
    ],
)
def test_sentence_that_leans_on_others_or_fits_no_form_is_left_out(sentence: str) -> None:
    assert question_of(sentence, VOCABULARY) is None


@pytest.mark.parametrize(
    ("gerund", "verb"),
    [("Replacing", "replace"), ("Setting", "set"), ("Cleaning", "clean"), ("Wintering", None)],
)
def test_base_form_of_known_verbs_only(gerund: str, verb: str | None) -> None:
    assert base_form(gerund) == verb


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Open the lid.", True), ("Order of work", False), ("The lid opens.", False), ("", False)],
)
def test_imperatives_are_told_from_nouns(text: str, expected: bool) -> None:
    assert is_imperative(text) is expected
