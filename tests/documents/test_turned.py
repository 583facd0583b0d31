"""Text that stands on its side or head is read in its own frame, tables too, and put in place."""

from pathlib import Path

import pytest
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

from doctune.documents import parse_pdf

BODY = [
    "The pump starts when the pressure in the tank falls below the",
    "lower limit, and it stops again as soon as the upper limit is",
    "reached. Between the two limits nothing happens at all.",
]
ROWS = [["Valve", "Bar", "Leak"], ["Alba", "12", "0"], ["Borea", "16", "1"], ["Cirro", "9", "2"]]


def write(canvas: Canvas, x: float, y: float, lines: list[str], size: int = 10) -> None:
    canvas.setFont("Helvetica", size)
    for number, line in enumerate(lines):
        canvas.drawString(x, y - 14 * number, line)


def draw_turned(canvas: Canvas, angle: int) -> None:
    """A heading, a sentence and a table, turned about the middle of the page."""
    canvas.saveState()
    canvas.translate(300, 420)
    canvas.rotate(angle)
    canvas.setFont("Helvetica-Bold", 14)
    canvas.drawString(-150, 80, "Sideways heading")
    write(canvas, -150, 60, ["Valve tests were made in June, and all results are in", "the table."])
    for r, row in enumerate(ROWS):
        for c, cell in enumerate(row):
            canvas.drawString(-146 + 80 * c, 6 - 16 * r, cell)
    for r in range(5):
        canvas.line(-150, 18 - 16 * r, 90, 18 - 16 * r)
    for c in range(4):
        canvas.line(-150 + 80 * c, 18, -150 + 80 * c, -46)
    canvas.restoreState()


@pytest.mark.parametrize("angle", [90, 180, 270])
def test_what_is_laid_sideways_on_an_upright_page_is_read(tmp_path: Path, angle: int) -> None:
    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=A4)
    write(canvas, 72, 780, BODY)
    draw_turned(canvas, angle)
    write(canvas, 72, 120, ["The end comes last, as on any page of a manual."])
    canvas.save()
    (page,) = parse_pdf(tmp_path / "a.pdf").pages
    assert [block.kind for block in page.blocks] == [
        "paragraph",
        "heading",
        "paragraph",
        "table",
        "paragraph",
    ]
    _, heading, prose, table, last = page.blocks
    assert heading.text == "Sideways heading"
    assert prose.text.endswith("all results are in the table.")
    assert table.rows == tuple(map(tuple, ROWS))
    assert last.text.startswith("The end")
    x0, y0, x1, y1 = table.bbox
    assert (x1 - x0 > y1 - y0) == (angle == 180)
    assert 0 < x0 < x1 < page.width
    assert 0 < y0 < y1 < page.height


@pytest.mark.parametrize("angle", [90, 180, 270])
def test_a_page_that_is_turned_as_a_whole_reads_as_the_upright_one(
    tmp_path: Path, angle: int
) -> None:
    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=A4)
    canvas.translate(300, 420)
    canvas.rotate(angle)
    canvas.translate(-200, 0)
    canvas.setFont("Helvetica-Bold", 14)
    canvas.drawString(0, 80, "2. The limits")
    write(canvas, 0, 60, BODY)
    canvas.save()
    heading, paragraph = parse_pdf(tmp_path / "a.pdf").blocks
    assert (heading.kind, heading.text) == ("heading", "2. The limits")
    assert paragraph.text == " ".join(BODY)


def test_the_label_of_an_axis_is_not_in_the_running_text(tmp_path: Path) -> None:
    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=A4)
    write(canvas, 72, 780, BODY)
    canvas.rotate(90)
    write(canvas, 300, -90, ["Flow in litres"])
    canvas.save()
    document = parse_pdf(tmp_path / "a.pdf")
    assert "Flow" not in document.text
    assert any(block.text.split() == ["Flow", "in", "litres"] for block in document.blocks)


def test_names_of_columns_on_their_side_are_in_the_head_of_the_table(tmp_path: Path) -> None:
    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=A4)
    write(canvas, 72, 780, BODY)
    names = ["Pressure in bar over the day", "Leaks found in a week", "Visits by a fitter"]
    for c, name in enumerate(names):
        canvas.saveState()
        canvas.translate(115 + 60 * c, 505)
        canvas.rotate(90)
        write(canvas, 0, 0, [name], 8)
        canvas.restoreState()
    for r in range(3):
        write(canvas, 76, 486 - 16 * r, [["Alba", "Borea", "Cirro"][r]])
        for c in range(3):
            write(canvas, 110 + 60 * c, 486 - 16 * r, [str(10 * r + c)])
    for y in (640, 498, 482, 466, 450):
        canvas.line(72, y, 264, y)
    for x in (72, 104, 150, 210, 264):
        canvas.line(x, 450, x, 640)
    canvas.save()
    (table,) = parse_pdf(tmp_path / "a.pdf").tables
    assert table.rows is not None
    assert table.rows[0] == ("", *names)
    assert table.rows[2] == ("Borea", "10", "11", "12")


def test_a_stamp_in_the_margin_is_no_text(tmp_path: Path) -> None:
    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=A4)
    write(canvas, 72, 780, BODY)
    canvas.rotate(90)
    write(canvas, 200, -30, ["arXiv:2401.01234v2 [cs.CL] 3 Jan 2024, and more of the same kind"])
    canvas.save()
    document = parse_pdf(tmp_path / "a.pdf")
    assert "arXiv" not in document.text
    assert [block.kind for block in document.blocks] == ["paragraph", "footer"]


def test_the_rows_of_a_page_on_its_side_are_a_table_and_no_ticks(tmp_path: Path) -> None:
    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=A4)
    canvas.translate(0, A4[1])
    canvas.rotate(-90)
    canvas.setFont("Helvetica", 10)
    rows = [["City", "Flow", "Loss"], ["Oslo", "12.3", "4.5"], ["Bodo", "6.1", "2.2"]]
    rows += [["Narvik", "7.7", "2.9"], ["Bergen", "9.8", "3.2"]]
    canvas.drawString(72, 520, "Table 4. Pumps by city")
    for r, row in enumerate(rows):
        for x, cell in zip((72, 200, 270), row, strict=True):
            canvas.drawString(x, 490 - 14 * r, cell)
    canvas.save()
    (table,) = parse_pdf(tmp_path / "a.pdf").tables
    assert table.rows == tuple(map(tuple, rows))
