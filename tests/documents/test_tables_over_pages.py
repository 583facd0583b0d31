"""Tables that go on over the page, and what stands around their parts."""

from collections.abc import Callable
from pathlib import Path

import pytest
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, PageBreak, Table, TableStyle

from doctune.documents import parse_pdf
from doctune.documents.parser import PAGES_PER_PART
from tests.documents.conftest import PROSE, prose

MakePdf = Callable[..., Path]
HEAD = ["Pump", "Flow", "Price"]
GRID = ("GRID", (0, 0), (-1, -1), 0.5, colors.black)


def rows_from(first: int, stop: int) -> list[list[str]]:
    return [[f"Make {n}", f"{n} l/min", str(10 * n)] for n in range(first, stop)]


def rows_of(path: Path) -> list[list[list[str]]]:
    return [[list(row) for row in block.rows or ()] for block in parse_pdf(path).tables]


def draw_rows(
    canvas: Canvas, rows: list[list[str]], top: float, xs: tuple[float, ...], rules: bool = False
) -> None:
    """Draws rows 16 points apart with their cells at `xs`, and a rule below the first."""
    canvas.setFont("Helvetica", 10)
    for number, row in enumerate(rows):
        for x, text in zip(xs, row, strict=True):
            canvas.drawString(x, top - 16 * number, text)
    if rules:
        canvas.line(xs[0], top - 5, xs[-1] + 60, top - 5)


def test_a_table_goes_on_over_the_parts_that_a_file_is_read_in(make_pdf: MakePdf) -> None:
    rows = [HEAD, *rows_from(1, 60)]
    story: list[Flowable] = []
    for _ in range(PAGES_PER_PART - 1):
        story += [prose("Nothing to see."), PageBreak()]
    story += [Table(rows, style=TableStyle([GRID]), repeatRows=1), prose()]
    path = make_pdf("parts.pdf", story)
    document = parse_pdf(path)
    assert len(document.pages) > PAGES_PER_PART
    (table,) = document.tables
    assert [list(row) for row in table.rows or ()] == rows
    assert table.page == PAGES_PER_PART


def test_both_repeated_header_rows_are_left_out_and_counted(make_pdf: MakePdf) -> None:
    head = [["Pump", "Measured", ""], ["", "flow", "price"]]
    rows = [*head, *rows_from(1, 60)]
    style = TableStyle([GRID, ("SPAN", (1, 0), (2, 0)), ("SPAN", (0, 0), (0, 1))])
    path = make_pdf("heads.pdf", [Table(rows, style=style, repeatRows=2), prose()])
    (table,) = parse_pdf(path).tables
    assert [list(row) for row in table.rows or ()] == rows
    assert table.header_rows == 2
    assert table.spans == ((0, 0, 2, 1), (0, 1, 1, 2))


@pytest.mark.parametrize("shift", [0.0, 1.5, -2.0])
def test_columns_may_stand_a_point_or_two_further(tmp_path: Path, shift: float) -> None:
    canvas = Canvas(str(tmp_path / "shifted.pdf"), pagesize=A4)
    draw_rows(canvas, [HEAD, *rows_from(1, 40)], 760, (80, 220, 360), rules=True)
    canvas.showPage()
    xs = (80 + shift, 220 + shift, 360 + shift)
    draw_rows(canvas, [HEAD, *rows_from(40, 60)], 760, xs, rules=True)
    canvas.save()
    assert rows_of(tmp_path / "shifted.pdf") == [[HEAD, *rows_from(1, 60)]]


def test_longer_texts_in_the_last_column_do_not_end_a_table(tmp_path: Path) -> None:
    rows = [["Name", "Year", "Owner"]]
    rows += [[f"Pump {n}", str(1900 + n), "Ada"] for n in range(40)]
    more = [[f"Pump {n}", str(1900 + n), "The museum of pumps"] for n in range(40, 50)]
    canvas = Canvas(str(tmp_path / "owners.pdf"), pagesize=A4)
    draw_rows(canvas, rows, 760, (80, 200, 320), rules=True)
    canvas.showPage()
    draw_rows(canvas, [rows[0], *more], 760, (80, 200, 320), rules=True)
    canvas.save()
    assert rows_of(tmp_path / "owners.pdf") == [rows + more]


@pytest.mark.parametrize(
    ("above", "below"),
    [
        ("Table 1 (continued)", ""),
        ("Table 1. Prices of all pumps.", ""),
        ("Table 1 \u2013 continued from previous page", "Continued on next page"),
        ("Tabelle 1: Fortsetzung von der vorigen Seite", "Fortsetzung auf der n\u00e4chsten Seite"),
    ],
)
def test_notes_that_a_table_goes_on_do_not_part_it(tmp_path: Path, above: str, below: str) -> None:
    canvas = Canvas(str(tmp_path / "notes.pdf"), pagesize=A4)
    canvas.setFont("Helvetica", 10)
    canvas.drawString(80, 730, "Table 1. Prices of all pumps.")
    draw_rows(canvas, [HEAD, *rows_from(1, 36)], 700, (80, 220, 360), rules=True)
    canvas.drawString(240, 100, below)
    canvas.showPage()
    canvas.setFont("Helvetica", 10)
    canvas.drawString(80, 730, above)
    draw_rows(canvas, [HEAD, *rows_from(36, 60)], 700, (80, 220, 360), rules=True)
    canvas.save()
    document = parse_pdf(tmp_path / "notes.pdf")
    (table,) = document.tables
    assert [list(row) for row in table.rows or ()] == [HEAD, *rows_from(1, 60)]
    assert table.caption == "Table 1. Prices of all pumps."
    assert document.text.count("Table 1") == 1
    assert "ontinued" not in document.text
    assert above in [block.text for block in document.blocks]


def test_another_table_with_its_own_caption_is_another_table(tmp_path: Path) -> None:
    canvas = Canvas(str(tmp_path / "other.pdf"), pagesize=A4)
    canvas.setFont("Helvetica", 10)
    canvas.drawString(80, 790, "Table 1. Prices of all pumps.")
    draw_rows(canvas, [HEAD, *rows_from(1, 40)], 760, (80, 220, 360), rules=True)
    canvas.showPage()
    canvas.setFont("Helvetica", 10)
    canvas.drawString(80, 790, "Table 2. Prices of used pumps.")
    draw_rows(canvas, [HEAD, *rows_from(40, 60)], 760, (80, 220, 360), rules=True)
    canvas.save()
    assert len(rows_of(tmp_path / "other.pdf")) == 2


def test_a_table_after_prose_on_the_next_page_is_another_table(make_pdf: MakePdf) -> None:
    one, other = [HEAD, *rows_from(1, 30)], [HEAD, *rows_from(30, 40)]
    story = [Table(one, style=TableStyle([GRID])), PageBreak(), prose(PROSE)]
    path = make_pdf("two.pdf", [*story, Table(other, style=TableStyle([GRID]))])
    assert rows_of(path) == [one, other]
