"""Tables with drawn cells: rules drawn cell by cell, frames, labels outside the cells."""

from pathlib import Path

import pytest
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

from doctune.documents import parse_pdf
from doctune.documents.model import Document

SIZE = 10.0
ROWS = [["Alba", "12", "340"], ["Borea", "25", "610"], ["Cirro", "37", "790"], ["Delta", "9", "50"]]


class Page:
    """A page with boxes, lines and text; heights are from its top."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.canvas = Canvas(str(path), pagesize=A4)
        self.canvas.setFont("Helvetica", SIZE)

    def text(self, x: float, top: float, text: str) -> None:
        self.canvas.drawString(x, A4[1] - top, text)

    def row(self, top: float, xs: tuple[float, ...], texts: list[str]) -> None:
        for x, text in zip(xs, texts, strict=True):
            self.text(x, top, text)

    def rule(self, top: float, left: float, right: float) -> None:
        self.canvas.line(left, A4[1] - top, right, A4[1] - top)

    def side(self, x: float, top: float, bottom: float) -> None:
        self.canvas.line(x, A4[1] - top, x, A4[1] - bottom)

    def box(self, x0: float, top: float, x1: float, bottom: float) -> None:
        self.canvas.rect(x0, A4[1] - bottom, x1 - x0, bottom - top)

    def read(self) -> Document:
        self.canvas.save()
        return parse_pdf(self.path)

    def rows(self) -> list[list[list[str]]]:
        return [[list(row) for row in table.rows or ()] for table in self.read().tables]


@pytest.fixture
def page(tmp_path: Path) -> Page:
    return Page(tmp_path / "page.pdf")


def test_rules_drawn_cell_by_cell_tell_columns(page: Page) -> None:
    for top in (100, 120, 200):
        for left, right in ((80, 180), (180, 280), (280, 380)):
            page.rule(top, left, right)
    for x in (80, 180, 380):
        page.side(x, 100, 200)
    xs = (90, 200, 340)
    page.row(114, xs, ["Pump", "Flow", "Price"])
    for number, row in enumerate(ROWS):
        page.row(136 + 16 * number, xs, row)
    assert page.rows() == [[["Pump", "Flow", "Price"], *ROWS]]


def test_cells_drawn_beside_the_ones_above_make_no_columns_of_their_own(page: Page) -> None:
    for left, right in ((80, 180), (180, 280), (280, 380)):
        page.box(left + 6, 100, right - 6, 120)
        for number in range(5):
            page.box(left, 100 + 20 * number, right, 120 + 20 * number)
    xs = (90, 200, 340)
    page.row(114, xs, ["Pump", "Flow", "Price"])
    for number, row in enumerate(ROWS):
        page.row(134 + 20 * number, xs, row)
    assert page.rows() == [[["Pump", "Flow", "Price"], *ROWS]]


def test_a_caption_and_a_source_in_the_frame_are_no_rows(page: Page) -> None:
    page.box(80, 80, 380, 100)
    for number in range(4):
        for left in (80, 180, 280):
            page.box(left, 100 + 20 * number, left + 100, 120 + 20 * number)
    page.box(80, 180, 380, 200)
    page.text(90, 94, "Table 1. Pumps and their prices")
    for number, row in enumerate(ROWS):
        page.row(114 + 20 * number, (90, 200, 340), row)
    page.text(90, 194, "Source: the makers' own lists")
    document = page.read()
    (table,) = document.tables
    assert [list(row) for row in table.rows or ()] == ROWS
    assert table.caption == "Table 1. Pumps and their prices"
    assert "Source: the makers' own lists" in document.text


def test_labels_left_of_the_drawn_cells_are_a_column(page: Page) -> None:
    for number in range(4):
        for left in (180, 280):
            page.box(left, 100 + 20 * number, left + 100, 120 + 20 * number)
    for number, row in enumerate(ROWS):
        page.text(80, 114 + 20 * number, " ".join(row[:1]) + " " * 30 + row[1])
        page.text(340, 114 + 20 * number, row[2])
    assert page.rows() == [ROWS]


def test_tables_side_by_side_stay_two(page: Page) -> None:
    for left in (80, 320):
        for number in range(4):
            for x in (left, left + 100):
                page.box(x, 100 + 20 * number, x + 100, 120 + 20 * number)
    for number, row in enumerate(ROWS):
        page.row(114 + 20 * number, (90, 200), row[:2])
        page.row(114 + 20 * number, (330, 440), [row[0], row[2]])
    assert page.rows() == [[row[:2] for row in ROWS], [[row[0], row[2]] for row in ROWS]]


def test_a_listing_in_a_frame_with_double_sides_is_code(page: Page) -> None:
    lines = ["root    disk     8   /dev/sda", "root    cdrom   11   /dev/sr0"]
    lines += ["root    dialout  4   /dev/ttyS0", "root    root     1   /dev/zero"]
    page.canvas.setFont("Courier", SIZE)
    for number, line in enumerate(lines):
        top = 100 + 12 * number
        for left, right in ((80, 86), (86, 380), (380, 386)):
            page.box(left, top, right, top + 12)
        page.text(90, top + 9, line)
    document = page.read()
    assert not document.tables
    assert "".join(lines).replace(" ", "") in document.text.replace(" ", "").replace("\n", "")


def test_a_cell_painted_line_by_line_is_one_cell(page: Page) -> None:
    for number in range(4):
        top = 100 + 24 * number
        for left in (80, 180, 280):
            if left > 80 or number != 1:
                page.box(left, top, left + 100, top + 24)
    page.box(80, 124, 180, 136)
    page.box(80, 136, 180, 148)
    for number, row in enumerate(ROWS):
        page.row(116 + 24 * number, (200, 340), row[1:])
        if number != 1:
            page.text(90, 116 + 24 * number, row[0])
    page.text(90, 134, "Borea with")
    page.text(90, 145, "a filter")
    assert page.rows() == [[ROWS[0], ["Borea with a filter", "25", "610"], *ROWS[2:]]]


def test_rows_beside_a_cell_that_spans_them_stay_rows(page: Page) -> None:
    page.box(80, 100, 180, 148)
    for number in range(4):
        for left in (180, 280):
            page.box(left, 100 + 12 * number, left + 100, 112 + 12 * number)
    page.text(90, 128, "Pumps")
    for number, row in enumerate(ROWS):
        page.row(110 + 12 * number, (190, 340), [row[0], row[2]])
    document = page.read()
    (table,) = document.tables
    assert [row[1:] for row in table.rows or ()] == [(row[0], row[2]) for row in ROWS]
    assert table.spans == ((0, 0, 4, 1),)
