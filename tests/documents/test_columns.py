"""Columns, boxes and what else decides in which order a page is read."""

from pathlib import Path

from doctune.documents import parse_pdf
from doctune.documents.geometry import page_space
from doctune.documents.lines import Line, PageText
from doctune.documents.order import reading_order
from doctune.documents.pdfium import PdfFile
from tests.documents.test_page_features import BODY, new_canvas, write_lines

COLUMN = [
    "The pump starts when the pressure in the tank",
    "falls below the lower limit, and it stops again",
    "as soon as the upper limit is reached. Between",
    "the two limits nothing happens at all, and this",
]


def lines_in_order(path: Path) -> tuple[list[Line], list[Line]]:
    """The lines of the first page in reading order, and as the file gives them."""
    with PdfFile(path) as file, file.page(0) as page, PageText(page, page_space(page)) as text:
        lines = text.lines()
        return reading_order(lines, (), text), lines


def test_columns_drawn_row_by_row_are_cut_at_their_gutters(tmp_path: Path) -> None:
    canvas = new_canvas(tmp_path / "rows.pdf")
    canvas.setFont("Helvetica", 8)
    for row in range(20):
        for column in range(3):
            text = f"column {column} tells in row {row:02d} some more"
            canvas.drawString(40 + 180 * column, 780 - 11 * row, text)
    canvas.save()
    lines, _ = lines_in_order(tmp_path / "rows.pdf")
    expected = [f"column {c} tells in row {r:02d} some more" for c in range(3) for r in range(20)]
    assert [line.text for line in lines] == expected


def test_rows_of_a_table_are_not_cut(tmp_path: Path) -> None:
    canvas = new_canvas(tmp_path / "table.pdf")
    canvas.setFont("Helvetica", 10)
    for row in range(12):
        canvas.drawString(72, 700 - 14 * row, f"Pump {row}")
        canvas.drawString(200, 700 - 14 * row, f"{20 * row} litres")
    canvas.save()
    lines, as_drawn = lines_in_order(tmp_path / "table.pdf")
    assert lines is as_drawn


def test_a_paragraph_goes_on_in_the_next_column(tmp_path: Path) -> None:
    canvas = new_canvas(tmp_path / "columns.pdf")
    write_lines(canvas, COLUMN * 10, 780)
    canvas.translate(260, 0)
    write_lines(canvas, ["is so for all pumps of this make.", *COLUMN], 780)
    canvas.save()
    (paragraph,) = parse_pdf(tmp_path / "columns.pdf").blocks
    assert "and this is so for all pumps" in paragraph.text


def test_text_in_a_box_is_a_paragraph_of_its_own(tmp_path: Path) -> None:
    canvas = new_canvas(tmp_path / "box.pdf")
    write_lines(canvas, [*BODY, "all."], 780)
    canvas.rect(66, 640, 420, 50)
    boxed = [
        "Warning: never open the valve while the pump is running, as hot water",
        "will come out.",
    ]
    write_lines(canvas, boxed, 670)
    write_lines(canvas, BODY[:1], 600)
    canvas.save()
    blocks = parse_pdf(tmp_path / "box.pdf").blocks
    assert [block.kind for block in blocks] == ["paragraph"] * 3
    assert blocks[1].text == " ".join(boxed)


def test_code_keeps_its_blank_lines(tmp_path: Path) -> None:
    canvas = new_canvas(tmp_path / "code.pdf")
    canvas.setFont("Courier", 9)
    for number, text in enumerate(["def run(x):", "    y = x", "", "    return y"]):
        canvas.drawString(72, 700 - 11 * number, text)
    canvas.save()
    (block,) = parse_pdf(tmp_path / "code.pdf").blocks
    assert block.text == "def run(x):\n    y = x\n\n    return y"
