"""What stands on pages besides running text: notes, formulas, links, captions, margins, forms."""

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from reportlab.lib import colors
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Table, TableStyle

from doctune.documents import ParseOptions, parse_corpus, parse_pdf
from doctune.documents.model import Block
from tests.documents.conftest import PROSE, prose

WIDTH, HEIGHT = 595, 842


def new_canvas(path: Path) -> Canvas:
    return Canvas(str(path), pagesize=(WIDTH, HEIGHT))


def write_lines(canvas: Canvas, lines: list[str], top: float, size: float = 10) -> None:
    canvas.setFont("Helvetica", size)
    for number, text in enumerate(lines):
        canvas.drawString(72, top - 1.2 * size * number, text)


def of_kind(path: Path, kind: str) -> list[Block]:
    return [block for block in parse_pdf(path).blocks if block.kind == kind]


BODY = [
    "The pump starts when the pressure in the tank falls below the lower limit, and it stops",
    "again as soon as the upper limit is reached. Between the two limits nothing happens at",
]


def test_a_sentence_goes_on_over_the_footnotes_between_its_halves(tmp_path: Path) -> None:
    canvas = new_canvas(tmp_path / "notes.pdf")
    write_lines(canvas, BODY * 12, 760)
    write_lines(canvas, ["1 Measured on the test bench in the third week of March,"], 100, 8)
    write_lines(canvas, ["and again in May after the seals had been changed."], 90, 8)
    write_lines(
        canvas, ["2 See the maker's own account of the tests and of what they cost."], 78, 8
    )
    canvas.showPage()
    write_lines(canvas, ["all, as long as the valve stays shut. Then the pump rests."], 760)
    canvas.save()
    notes = of_kind(tmp_path / "notes.pdf", "footnote")
    assert [note.text[:10] for note in notes] == ["1 Measured", "2 See the "]
    assert notes[0].text.endswith("had been changed.")
    assert "nothing happens at all, as long as" in parse_pdf(tmp_path / "notes.pdf").text


def test_small_captions_are_no_footnotes(tmp_path: Path) -> None:
    canvas = new_canvas(tmp_path / "caption.pdf")
    write_lines(canvas, BODY * 12, 760)
    caption = [
        "Figure 1. What was measured in the years from 2001 to 2009, in litres and in",
        "2 columns of equal width, one for each of the pumps that were tried there.",
    ]
    write_lines(canvas, caption, 300, 8)
    canvas.save()
    assert not of_kind(tmp_path / "caption.pdf", "footnote")


def test_displayed_formulas_are_marked_and_stay_in_the_text(tmp_path: Path) -> None:
    canvas = new_canvas(tmp_path / "formula.pdf")
    write_lines(
        canvas, [*BODY, "all, which is to say that the flow follows from the pressure as"], 760
    )
    canvas.drawString(200, 705, "Q = k (p - p0) / R")
    canvas.drawString(500, 705, "(3)")
    write_lines(canvas, ["where k = 2 for all pumps of this make and of the one before it."], 685)
    canvas.save()
    (formula,) = of_kind(tmp_path / "formula.pdf", "formula")
    assert formula.text == "Q = k (p - p0) / R (3)"
    document = parse_pdf(tmp_path / "formula.pdf")
    assert formula.text in document.text
    assert r"$$Q=k(p-p0)/R \tag{3}$$" in document.markdown


def test_links_belong_to_their_blocks(tmp_path: Path) -> None:
    canvas = new_canvas(tmp_path / "links.pdf")
    write_lines(canvas, ["See the maker's page for more."], 700)
    canvas.linkURL("https://example.org/pump", (72, 695, 200, 712))
    write_lines(canvas, ["Nothing is linked here."], 600)
    canvas.save()
    blocks = parse_pdf(tmp_path / "links.pdf").blocks
    assert [block.links for block in blocks] == [("https://example.org/pump",), ()]


def test_a_caption_is_tied_to_its_table_and_its_figure(tmp_path: Path) -> None:
    canvas = new_canvas(tmp_path / "captions.pdf")
    write_lines(canvas, ["Table 1. Prices of the pumps."], 780)
    grid = [("GRID", (0, 0), (-1, -1), 0.5, colors.black)]
    table = Table([["Pump", "Price"], ["Alba", "340"], ["Borea", "610"]], style=TableStyle(grid))
    table.wrapOn(canvas, 300, 300)
    table.drawOn(canvas, 72, 710)
    curve = canvas.beginPath()
    curve.moveTo(100, 400)
    for x in range(100, 400, 50):
        curve.curveTo(x + 10, 520, x + 30, 380, x + 50, 450)
    canvas.drawPath(curve)
    write_lines(canvas, ["Figure 1. How the pressure falls."], 340)
    canvas.save()
    document = parse_pdf(tmp_path / "captions.pdf")
    captions = {block.kind: block.caption for block in document.blocks if block.caption}
    assert captions == {
        "table": "Table 1. Prices of the pumps.",
        "figure": "Figure 1. How the pressure falls.",
    }


def test_a_table_over_pages_is_one_with_its_header_once(make_pdf: Callable[..., Path]) -> None:
    rows = [["Number", "Name", "Price"]]
    rows += [[str(n), f"Pump of make {n}", str(10 * n)] for n in range(1, 91)]
    grid = [("GRID", (0, 0), (-1, -1), 0.5, colors.black)]
    story = [prose(PROSE), Table(rows, style=TableStyle(grid), repeatRows=1), prose(PROSE)]
    path = make_pdf("long.pdf", story)
    (table,) = parse_pdf(path).tables
    assert len(parse_pdf(path).pages) == 3
    assert [list(row) for row in table.rows or ()] == rows
    other = make_pdf("two.pdf", [Table(rows, style=TableStyle(grid)), prose(PROSE)])
    assert [list(row) for block in parse_pdf(other).tables for row in block.rows or ()] == rows


def test_numbers_of_lines_are_marked_and_left_out_of_the_text(tmp_path: Path) -> None:
    canvas = new_canvas(tmp_path / "numbered.pdf")
    canvas.setFont("Helvetica", 10)
    for number, text in enumerate(BODY * 15, start=1):
        y = 780 - 14 * number
        canvas.drawRightString(50, y, str(number))
        canvas.drawString(72, y, text)
    canvas.save()
    document = parse_pdf(tmp_path / "numbered.pdf")
    numbers = of_kind(tmp_path / "numbered.pdf", "line_number")
    assert "".join(block.text for block in numbers).replace(" ", "").startswith("123456789")
    assert document.text.startswith("The pump starts when the pressure")
    assert not any(word.isdigit() for word in document.text.split())


@pytest.mark.parametrize("angle", [0, 55], ids=["upright", "slanted"])
def test_watermarks_are_marked_and_left_out_of_the_text(tmp_path: Path, angle: int) -> None:
    canvas = new_canvas(tmp_path / "draft.pdf")
    for _ in range(4):
        canvas.saveState()
        canvas.translate(200, 400)
        canvas.rotate(angle)
        canvas.setFont("Helvetica", 60)
        canvas.drawString(0, 0, "DRAFT")
        canvas.restoreState()
        write_lines(canvas, BODY * 8, 760)
        canvas.showPage()
    canvas.save()
    assert {b.text for b in of_kind(tmp_path / "draft.pdf", "watermark")} == {"DRAFT"}
    assert "DRAFT" not in parse_pdf(tmp_path / "draft.pdf").text


def test_a_sentence_that_wraps_before_a_number_is_no_list(tmp_path: Path) -> None:
    canvas = new_canvas(tmp_path / "wrapped.pdf")
    lines = [
        "The first of the two pumps that were tried in the workshop was built in the year of",
        "1997. It has been running ever since then, and nobody has ever had to open it.",
    ]
    write_lines(canvas, [lines[0], lines[1].replace("1997", "97")], 700)
    write_lines(canvas, ["1. Open the valve.", "2. Start the pump."], 600)
    canvas.save()
    blocks = parse_pdf(tmp_path / "wrapped.pdf").blocks
    assert [block.kind for block in blocks] == ["paragraph", "list", "list"]


def test_text_of_notes_and_form_fields_is_read(tmp_path: Path) -> None:
    canvas = new_canvas(tmp_path / "form.pdf")
    write_lines(canvas, ["Name of the owner:"], 700)
    canvas.acroForm.textfield(name="owner", value="Ottilie Sonnberg", x=180, y=692, width=200)
    canvas.save()
    assert "Ottilie Sonnberg" in parse_pdf(tmp_path / "form.pdf").text


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_the_text_of_a_turned_page_reads_as_it_is_shown(tmp_path: Path, rotation: int) -> None:
    canvas = new_canvas(tmp_path / "turned.pdf")
    canvas.setPageRotation(rotation)
    canvas.saveState()
    # The text is drawn so that it stands upright once the page is turned.
    canvas.translate(WIDTH / 2, HEIGHT / 2)
    canvas.rotate(rotation)
    canvas.setFont("Helvetica", 10)
    for number, text in enumerate(BODY):
        canvas.drawString(-200, 100 - 12 * number, text)
    canvas.restoreState()
    canvas.save()
    (block,) = parse_pdf(tmp_path / "turned.pdf").blocks
    assert block.kind == "paragraph"
    assert block.text == " ".join(BODY)


def test_what_a_block_carries_goes_into_parquet(tmp_path: Path) -> None:
    folder = tmp_path / "pdfs"
    folder.mkdir()
    canvas = new_canvas(folder / "mixed.pdf")
    write_lines(canvas, [*BODY, "all."], 760)
    german = [
        "Die Pumpe springt an, wenn der Druck im Kessel unter die untere Grenze f\u00e4llt,",
        "und sie steht wieder still, sobald die obere Grenze erreicht ist.",
    ]
    write_lines(canvas, german, 600)
    canvas.linkURL("https://example.org/", (72, 590, 200, 605))
    canvas.save()
    parse_corpus(folder, tmp_path / "out", ParseOptions(workers=1))
    rows = pq.read_table(tmp_path / "out" / "blocks.parquet").to_pylist()
    assert [row["language"] for row in rows] == ["en", "de"]
    assert [row["links"] for row in rows] == [None, ["https://example.org/"]]
    assert [row["confidence"] for row in rows] == [None, None]


def test_numbers_that_begin_lines_of_text_are_no_numbers_of_lines(tmp_path: Path) -> None:
    canvas = new_canvas(tmp_path / "counted.pdf")
    lines = [
        text
        for number in range(11, 120, 11)
        for text in (f"{number} of the pumps that were tried there, and none of them", BODY[0])
    ]
    write_lines(canvas, lines, 760)
    canvas.save()
    assert not of_kind(tmp_path / "counted.pdf", "line_number")
    assert parse_pdf(tmp_path / "counted.pdf").text.split() == " ".join(lines).split()
