"""What the documents call things that users call otherwise."""

from doctune.knowledge.aliases import find_aliases, implied_terms
from doctune.knowledge.lexical import tokens

TEXTS = [
    "Skeen: the ceramic filter cartridge SK-2040 between sill and cistern.",
    "The sill is the gutter under the drape.",
    "We spend on research and development (R&D) each year.",
    "There is a way to do it.",
]
PASSAGES = ["The skeen and the sill.", "A skeen on the sill.", "Research and development grew.",
            "Research and development fell."]  # fmt: skip


def _implied(question: str) -> list[str]:
    aliases = find_aliases(TEXTS, PASSAGES, tokens)
    return implied_terms(tokens(question), aliases, tokens, lambda _: 3.0)


def test_a_definition_leads_from_the_common_word_to_the_term() -> None:
    assert _implied("How often is the filter cartridge due?") == ["skeen"]
    assert _implied("Is the gutter heated?") == ["sill"]


def test_an_abbreviation_leads_to_the_long_name() -> None:
    assert _implied("What did R&D cost?") == ["research development"]


def test_a_question_that_names_the_term_is_left_alone() -> None:
    assert _implied("Is the sill the gutter?") == []
