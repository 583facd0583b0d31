"""Answers to what users ask, from a manual that no model has seen."""

from pathlib import Path

import pytest

from doctune.knowledge import REFUSAL, Answerer, build_index
from tests.dataset.corpora import Paper, write_corpus


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
        ("Does the Arlo 5 draw more than the Arlo 3?", "Yes"),
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


def test_a_source_is_found_again_by_its_id_with_its_box_and_heading(answerer: Answerer) -> None:
    (source, *_) = answerer.answer("How often is the filter of the Arlo 3 rinsed?").sources
    assert source.heading == ("Cleaning",)
    assert "14 days" in source.quote
    assert answerer.source(source.id) == source
    for unknown in ("", "nothing.0", f"{source.id}9", source.id.replace(".", ".-")):
        assert answerer.source(unknown) is None


def test_places_are_distinct_passages_best_first(answerer: Answerer) -> None:
    found = answerer.places("How often is the filter of the Arlo 3 rinsed?", 3)
    assert "14 days" in found[0].text
    assert len({one.text for one in found}) == 3


def test_who_is_of_no_group_that_may_see_a_document_gets_no_source_of_it(
    answerer: Answerer,
) -> None:
    question = "How often is the filter of the Arlo 3 rinsed?"
    (source, *_) = answerer.answer(question).sources
    assert answerer.places(question, 3, ["sales"]) == ()
    assert answerer.answer(question, ["sales"]).refused
    assert answerer.source(source.id, ["sales"]) is None
    assert answerer.source(source.id, ["everybody"]) == source


def test_the_next_sentence_of_the_paragraph_is_quoted_too(answerer: Answerer) -> None:
    answer = answerer.answer("How often is the filter of the Arlo 3 rinsed?").answer

    assert "every 14 days" in answer
    assert "Do not use soap" in answer


def test_what_the_sentence_beside_the_best_forbids_is_answered_no(answerer: Answerer) -> None:
    answer = answerer.answer("May I rinse the filter of the Arlo 3 with soap?").answer

    assert answer.startswith("No")
    assert "clogs the mesh" in answer


def test_passages_come_in_the_order_that_answers_take_them(answerer: Answerer) -> None:
    question = "How often is the filter of the Arlo 3 rinsed?"

    found = answerer.search(question, 3)

    assert [one.file for one in found] == [one.file for one in answerer.places(question, 3)]
    assert "every 14 days" in found[0].text


def test_a_passage_that_breaks_off_goes_on_with_the_next_of_its_section(tmp_path: Path) -> None:
    filler = " ".join(
        f"Part {number} of the frame is made of brass and wood." for number in range(14)
    )
    paper = (
        Paper("press.pdf", title="The press")
        .heading("Pressing")
        .text(f"{filler} The plum press is set by its wheel before the first pressing.")
        .text(f"It is turned until the needle stands at 40. {filler}")
        .heading("Storing")
        .text("The plum press is kept dry.")
    )
    write_corpus(tmp_path / "documents", paper)
    build_index(tmp_path / "documents", tmp_path / "index")
    answerer = Answerer.open(tmp_path / "index")

    (place,) = answerer.places("What sets the plum press before the first pressing?", 1)
    (continued,) = answerer.continued([place])
    (both, _) = answerer.continued(answerer.places("plum press wheel needle at 40", 2))
    (last,) = answerer.continued(answerer.places("Is the plum press kept dry?", 1))

    assert "needle stands" not in place.text
    assert "needle stands at 40" in continued.text
    assert both.text.count("needle stands at 40") <= 1
    assert last.text == "The plum press is kept dry."
