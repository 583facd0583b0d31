"""What is thrown out of the examples: the faults seen on papers and filings, each by its name."""

import pytest

from doctune.dataset.names import Vocabulary, name_documents
from doctune.dataset.records import Block, Document, Fact
from doctune.dataset.rules.english import question_of
from doctune.dataset.scoring import fault_in


def fact(question: str, answer: str, kind: str = "table", passage: str = "") -> Fact:
    return Fact(kind, (question,), answer, passage or answer, (1,), (), 1)


@pytest.mark.parametrize(
    ("kind", "question", "answer", "fault"),
    [
        (
            "table",
            "How much is total for three months ended July 31,?",
            "Total for three months ended July 31,: 6,704.",
            "cut_off",
        ),
        (
            "table",
            "How much is all other for three months ended $ change?",
            "All other for three months ended $ change: (165) (in millions).",
            "cut_off",
        ),
        (
            "fact",
            "What is the ERP system designed to?",
            "The ERP system is designed to keep our records.",
            "cut_off",
        ),
        (
            "definition",
            "What is u?",
            "U is a vector composed of the flow coefficients.",
            "symbol",
        ),
        (
            "definition",
            'According to "Imaging Flows", explain what u is.',
            "U is a vector.",
            "symbol",
        ),
        (
            "table",
            "How much is net sales for nine months ended June 26, 2021?",
            "Net sales for nine months ended June 26, 2021: 24,689.",
            "no_unit",
        ),
        (
            "table",
            "What is the figure for gross profit for three months ended July 30, 2023?",
            "Gross profit for three months ended July 30, 2023: 70.1.",
            "no_unit",
        ),
        (
            "table",
            "What is the mass of the sun?",
            "The mass of the sun is 1,988.5.",
            "no_unit",
        ),
        (
            "table",
            'What is listed under "qR div curl" for the coupling p1-p1?',
            'The coupling p1-p1, "qR div curl": 100 0.95 0.83 150 0.95 0.75.',
            "cells_together",
        ),
        (
            "table",
            "What is the relation for C-rich?",
            "The relation for C-rich is: center lower edge 9.982 -1.698.",
            "cells_together",
        ),
        (
            "table",
            "What is the numerical value for the orbit, e (number, w = wp/wo 4.9327)?",
            "The numerical value for the orbit, e (number, w = wp/wo 4.9327) is 0.2056.",
            "cells_together",
        ),
        (
            "section",
            'What can you tell me about results according to "On Masers"?',
            "The spectra from different epochs are shown in two figures.",
            "unclear",
        ),
        (
            "definition",
            "What is additional evidence of their nature?",
            "Additional evidence of their nature is the high temperature.",
            "unclear",
        ),
        (
            "fact",
            "What happens when available?",
            "When available, the type was taken from OGLE-III.",
            "unclear",
        ),
        (
            "fact",
            "Where is the prediction based?",
            "The prediction is based on the assumption that the planet is one body.",
            "unclear",
        ),
        ("definition", "What is the latest estimate?", "The latest estimate is 5 km.", "unclear"),
    ],
)
def test_a_poor_fact_is_thrown_out_by_the_name_of_its_fault(
    kind: str, question: str, answer: str, fault: str
) -> None:
    assert fault_in(fact(question, answer, kind)) == fault


@pytest.mark.parametrize(
    ("kind", "question", "answer"),
    [
        (
            "table",
            "How much is net sales for 2024?",
            "Net sales for 2024: 24,689 (in millions).",
        ),
        ("table", "What is the effective tax rate for 2022?", "The rate for 2022: 15.7 %."),
        ("table", "What is the mass of the Arlo 3?", "The mass of the Arlo 3 is 41.5 kg."),
        (
            "table",
            "What is the number of guy lines for the Arlo 3?",
            "The number of guy lines for the Arlo 3 is 6.",
        ),
        (
            "table",
            "What is the position of the source Cep A?",
            "The position of the source Cep A is 18 53 18.569.",
        ),
        ("definition", "What does FICN stand for?", "FICN stands for free inner core nutation."),
        ("definition", "What does E07 mean?", "E07 means: the pump is blocked."),
        (
            "fact",
            "What should I do when the lamp is red?",
            "When the lamp is red, close the inlet.",
        ),
        ("fact", "Where is the filter kept?", "The filter is kept in the grey box."),
        (
            "section",
            'What does "On Masers" say about observations of Cep A?',
            "The line was observed toward Cep A in 2020.",
        ),
    ],
)
def test_a_good_fact_stays(kind: str, question: str, answer: str) -> None:
    assert fault_in(fact(question, answer, kind)) == ""


def test_a_figure_that_the_passage_does_not_have_is_thrown_out() -> None:
    made = fact("What is the weight?", "The weight is 41 kg.", passage="| Weight | 14 kg |")
    assert fault_in(made) == "not_in_passage"


def test_a_noun_is_not_taken_for_a_verb() -> None:
    """It asked "What does potential export control?"."""
    sentence = (
        "Potential export controls targeting chips may also subject users of our products to "
        "additional restrictions."
    )
    assert question_of(sentence, Vocabulary([document("", sentence)])) is None


def document(title: str, *headings: str, source: str = "2201.00037.pdf") -> Document:
    blocks = tuple(Block(1, at, "heading", 1, text) for at, text in enumerate(headings))
    return Document("d" * 64, source, title, "en", 3, blocks)


@pytest.mark.parametrize(
    ("title", "headings", "name"),
    [
        (
            "0001045810-23-000175",
            ("For the quarterly period ended July 30, 2023 OR", "Nvidia Corporation"),
            "Nvidia Corporation",
        ),
        (
            "The influence of a fluid core and a solid inner core on the Cassini state of Mercury "
            "and Venus",
            (),
            "The influence of a fluid core and a solid inner core on the Cassini state of Mercury "
            "and Venus",
        ),
        ("", ("Commission file number: 0-23985",), "Document 2201 00037"),
    ],
)
def test_a_title_is_what_names_the_document(
    title: str, headings: tuple[str, ...], name: str
) -> None:
    made = document(title, *headings)
    names = name_documents([made], Vocabulary([made]))
    assert names[made.key].title == name
