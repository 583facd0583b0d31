"""What is a heading, and of which level."""

from pathlib import Path

import pytest
from reportlab.pdfgen.canvas import Canvas

from doctune.documents import parse_pdf
from doctune.documents.headings import assign_levels
from doctune.documents.model import Block
from doctune.documents.pdfium import OutlineEntry
from tests.documents.test_page_features import BODY, new_canvas


@pytest.fixture
def page(tmp_path: Path) -> Canvas:
    return new_canvas(tmp_path / "page.pdf")


def write(canvas: Canvas, rows: list[tuple[str, str, float]]) -> list[tuple[str, str]]:
    """Writes lines, each with its font and size, and returns the kinds and texts of the blocks."""
    y = 780.0
    for text, font, size in rows:
        canvas.setFont(font, size)
        y -= 1.2 * size if text in BODY else 2 * size
        canvas.drawString(72, y, text)
    canvas.save()
    blocks = parse_pdf(Path(canvas._filename)).blocks
    return [(block.kind, block.text) for block in blocks]


PROSE = [(text, "Helvetica", 10.0) for text in BODY * 3]


def test_a_bold_sentence_is_no_heading(page: Canvas) -> None:
    bold = "Never open the valve while the pump is running."
    blocks = write(page, [*PROSE, (bold, "Helvetica-Bold", 10.0), *PROSE])
    assert ("paragraph", bold) in blocks


@pytest.mark.parametrize("head", ["1. Definitions.", "Care of the pump", "What is a pump?"])
def test_a_bold_line_that_is_no_sentence_is_a_heading(page: Canvas, head: str) -> None:
    assert ("heading", head) in write(page, [*PROSE, (head, "Helvetica-Bold", 10.0), *PROSE])


def test_a_title_may_end_in_a_full_stop(page: Canvas) -> None:
    assert ("heading", "Pumps.") in write(page, [("Pumps.", "Helvetica-Bold", 20.0), *PROSE])


def test_entries_of_a_table_of_contents_are_no_headings(page: Canvas) -> None:
    entry = "2 Planning . . . . . . . . . . . . . . . . . . . . . . . . . . 14"
    blocks = write(page, [("Contents", "Helvetica-Bold", 16.0), (entry, "Helvetica-Bold", 10.0)])
    assert [kind for kind, _ in blocks] == ["heading", "paragraph"]


def heading(text: str, size: float) -> Block:
    return Block(1, "heading", text, (0.0, 0.0, 1.0, 1.0), size=size)


def levels(headings: list[Block], outline: list[OutlineEntry] | None = None) -> list[int | None]:
    return [block.level for block in assign_levels([headings], outline or [])[0]]


def test_the_title_takes_no_level_from_the_chapters() -> None:
    sizes = [("Pumps", 26), ("Care", 18), ("Daily", 14), ("Trouble", 18)]
    assert levels([heading(text, size) for text, size in sizes]) == [1, 1, 2, 1]


def test_headings_without_a_number_are_of_the_level_of_numbered_ones_of_their_size() -> None:
    sizes = [("Pumps", 26), ("1 Care", 18), ("1.1 Daily", 14), ("References", 18), ("Note", 14)]
    assert levels([heading(text, size) for text, size in sizes]) == [1, 1, 2, 1, 2]


def test_an_article_is_no_number() -> None:
    sizes = [("1 Care", 18), ("1.1 Daily", 14), ("A pump for the garden", 14), ("A.1 Values", 14)]
    assert levels([heading(text, size) for text, size in sizes]) == [1, 2, 2, 2]


def test_the_outline_says_the_level() -> None:
    outline = [OutlineEntry(1, "Care", 1), OutlineEntry(3, "Daily", 2)]
    headings = [heading("Care", 12), heading("Daily", 12.4), heading("Weekly", 12.4)]
    assert levels(headings, outline) == [1, 3, 3]


@pytest.mark.parametrize(
    ("head", "font"),
    [
        ("I. INTRODUCTION", "Times-Roman"),
        ("2. DIRECT COLLISIONS", "Times-Roman"),
        ("2.1. Selection of the pumps", "Times-Roman"),
        ("B.1. Kernels in the valve", "Times-Roman"),
        ("B. Artistic pumps", "Times-Italic"),
        ("Appendix A.1: Kinds of valves", "Times-Roman"),
    ],
)
def test_a_line_alone_may_be_a_heading_by_its_number(page: Canvas, head: str, font: str) -> None:
    assert ("heading", head) in write(page, [*PROSE, (head, font, 10.0), *PROSE])


@pytest.mark.parametrize("text", ["2.5 litres", "1. Open the valve.", "3. open", "I. a"])
def test_a_line_alone_with_a_number_may_be_none(page: Canvas, text: str) -> None:
    assert ("heading", text) not in write(page, [*PROSE, (text, "Helvetica", 10.0), *PROSE])


def test_bold_says_nothing_where_all_text_is_bold(page: Canvas) -> None:
    bold = [(text, "Helvetica-Bold", 10.0) for text, _, _ in PROSE]
    short = ("Never open it", "Helvetica-Bold", 10.0)
    blocks = write(page, [*bold, short, *bold])
    assert all(kind == "paragraph" for kind, _ in blocks)


def test_a_heading_in_italics_over_two_lines_is_one(page: Canvas) -> None:
    rows = [("4.3. Pumps that were built", "Helvetica-Oblique", 10.0)]
    page.setFont("Helvetica-Oblique", 10)
    page.drawString(72, 800, rows[0][0])
    page.drawString(72, 788, "before the year of the flood")
    blocks = write(page, PROSE)
    assert blocks[0] == ("heading", "4.3. Pumps that were built before the year of the flood")


def test_letters_count_sections_where_chapters_have_roman_numbers() -> None:
    sizes = [("Pumps", 12), ("I. INTRODUCTION", 10), ("A. Valves", 10), ("II. METHODS", 10)]
    assert levels([heading(text, size) for text, size in sizes]) == [1, 1, 2, 1]
