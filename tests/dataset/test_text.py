"""Sentences, headings, names and tokens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doctune.dataset.names import Vocabulary, name_documents
from doctune.dataset.records import Block, Document
from doctune.dataset.sections import chunks, outline
from doctune.dataset.text import collapse, normalise, sentences, strip_enumeration, symbol_ratio
from doctune.dataset.tokens import TokenCounter, estimate_tokens


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? Four.", ["One.", "Two!", "Three?", "Four."]),
        ("See Fig. 3 and Dr. Smith. Then go.", ["See Fig. 3 and Dr. Smith.", "Then go."]),
        ("It takes 3.5 kg. J. Smith agrees.", ["It takes 3.5 kg.", "J. Smith agrees."]),
        ("He came at 5 p.m. on foot.", ["He came at 5 p.m. on foot."]),
        ("水を捨てる。もう一度行う。", ["水を捨てる。", "もう一度行う。"]),
        ("no end at all", ["no end at all"]),
        ("", []),
    ],
)
def test_sentences_are_cut_where_they_end(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


@given(st.text(max_size=300))
def test_sentences_lose_nothing(text: str) -> None:
    assert "".join(sentences(text)).replace(" ", "") == collapse(text).replace(" ", "")


@pytest.mark.parametrize(
    ("heading", "expected"),
    [
        ("3.2 Cleaning", "Cleaning"),
        ("Chapter 4: The mast", "The mast"),
        ("Appendix B Parts", "Parts"),
        ("IV. Results", "Results"),
        ("1.1 A small harvester", "A small harvester"),
        ("5.2 If the unit has tipped over", "If the unit has tipped over"),
        ("30 days of use", "30 days of use"),
        ("第三章 保守", "保守"),
        ("2031", "2031"),
        ("Model 7", "Model 7"),
    ],
)
def test_numbers_of_headings_are_taken_off(heading: str, expected: str) -> None:
    assert strip_enumeration(heading) == expected


def test_letters_of_every_script_are_no_symbols() -> None:
    assert symbol_ratio("Вода и туман, 水と霧。") == 0
    assert symbol_ratio("=== ^^^ ###") > 0.5


def test_normalised_texts_ignore_case_and_punctuation() -> None:
    assert normalise("The  Drum, (old) — no. 5!") == normalise("the drum old no 5")


def test_estimate_of_tokens_counts_each_character_of_unspaced_scripts() -> None:
    assert estimate_tokens("水を捨てる") == 5
    assert estimate_tokens("a short line") == 3


def document(source: str, title: str, *blocks: Block) -> Document:
    return Document(source, source, title, "en", 1, blocks)


def paragraph(text: str, index: int = 0) -> Block:
    return Block(1, index, "paragraph", 0, text)


@pytest.mark.parametrize(
    ("title", "reference", "product"),
    [
        ("Arlo 3 User Manual: The small one", "the Arlo 3 User Manual", "the Arlo 3"),
        ("Travel Policy", "the Travel Policy", ""),
        ("On the Growth of Reeds", '"On the Growth of Reeds"', ""),
        ("ANNUAL REPORT", "the Annual Report", ""),
    ],
)
def test_documents_are_called_as_a_person_would(title: str, reference: str, product: str) -> None:
    made = document("x.pdf", title, paragraph("Fill the Arlo 3 and close an Arlo 3 at night."))

    name = name_documents([made], Vocabulary([made]))["x.pdf"]

    assert (name.reference, name.product) == (reference, product)


@pytest.mark.parametrize("title", ["", "Microsoft Word - foo.docx", "untitled", "C:\\x\\y"])
def test_a_title_that_is_none_gives_way_to_the_first_heading(title: str) -> None:
    made = document("x_y.pdf", title, Block(1, 0, "heading", 1, "1 The Reed Book"))

    assert name_documents([made], Vocabulary([made]))["x_y.pdf"].title == "The Reed Book"


def test_documents_with_one_title_are_told_apart_by_their_files() -> None:
    made = [document("a.pdf", "Price List"), document("b.pdf", "Price List")]

    names = name_documents(made, Vocabulary(made))

    assert names["a.pdf"].reference == "the Price List (a)"
    assert names["b.pdf"].reference == "the Price List (b)"


def test_headings_are_written_as_within_a_sentence() -> None:
    made = document(
        "a.pdf", "", paragraph("The daily care of the drum on Garrow Ridge is light. We test A02.")
    )
    vocabulary = Vocabulary([made])

    assert vocabulary.natural("Daily care on Garrow Ridge") == "daily care on Garrow Ridge"
    assert vocabulary.natural("A02 Drum worn") == "A02 drum worn"
    assert vocabulary.natural("DAILY CARE OF DRUMS").startswith("daily care of")


@given(
    texts=st.lists(st.text("ab .\n水", min_size=1, max_size=400), min_size=1, max_size=6),
    budget=st.integers(8, 64),
)
def test_chunks_keep_to_the_budget_and_lose_no_text(texts: list[str], budget: int) -> None:
    blocks = tuple(paragraph(text.strip(), at) for at, text in enumerate(texts) if text.strip())
    sections = outline(document("a.pdf", "", *blocks), ()).sections
    counter = TokenCounter()

    found = chunks(sections, counter, budget)

    assert all(counter.count(chunk.text) <= budget for chunk in found)
    given_text = "".join(block.text for section in sections for block in section.blocks)
    assert "".join("".join(c.text for c in found).split()) == "".join(given_text.split())


def test_sections_know_the_headings_above_them() -> None:
    blocks = (
        Block(1, 0, "heading", 1, "The Book"),
        Block(1, 1, "heading", 1, "1 Drums"),
        Block(1, 2, "heading", 2, "1.1 Care"),
        paragraph("Oil it.", 3),
        Block(2, 4, "heading", 1, "2 Lids"),
        paragraph("Shut it.", 5),
    )

    found = outline(document("a.pdf", "", *blocks), ("The Book",)).sections

    assert [section.path for section in found] == [("Drums",), ("Drums", "Care"), ("Lids",)]
    assert [section.top for section in found] == [0, 0, 2]
