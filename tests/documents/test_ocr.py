"""Scanned pages: read by Tesseract where it is, said plainly where it is not."""

import random
import shutil
from pathlib import Path

import pypdfium2
import pytest
from PIL import Image, ImageDraw
from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from doctune.documents import ParseOptions, ocr, parse_corpus, parse_pdf, scans
from doctune.errors import CorpusError


@pytest.fixture
def scan(tmp_path: Path, manual: Path) -> Path:
    """The manual's first page as a picture of it."""
    folder = tmp_path / "pdfs"
    folder.mkdir()
    return write_scan(folder / "scan.pdf", manual, 0)


def write_scan(path: Path, manual: Path, angle: float, layer: str = "", mode: int = 3) -> Path:
    """Writes a picture of the manual's first page, turned counter-clockwise by degrees.

    Args:
        layer: Text over the picture, a line a row, drawn in mode 3, which shows nothing.
    """
    with pypdfium2.PdfDocument(manual) as document:
        picture = document[0].render(scale=2.5).to_pil()
    picture = picture.rotate(angle, expand=angle % 90 == 0, fillcolor="white")
    scale = 842 / max(picture.size)
    width, height = picture.width * scale, picture.height * scale
    canvas = Canvas(str(path), pagesize=(width, height))
    canvas.drawImage(ImageReader(picture), 0, 0, width, height)
    text = canvas.beginText(40, height - 40)
    text.setTextRenderMode(mode)
    text.textLines(layer)
    canvas.drawText(text)
    canvas.showPage()
    canvas.save()
    return path


def test_without_tesseract_the_warning_says_what_to_install(
    scan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ocr, "find_program", lambda: None)
    document = parse_pdf(scan)
    assert document.text == ""
    assert "tesseract-ocr" in document.warnings[0]


def test_a_folder_of_scans_alone_is_one_clear_error(scan: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="need OCR"):
        parse_corpus(scan.parent, tmp_path / "out", ParseOptions(workers=1, ocr="off"))


def test_the_advice_is_given_once_for_a_folder_and_not_for_blank_pages(
    scan: Path, manual: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(scan, scan.with_name("again.pdf"))
    with scan.with_name("again.pdf").open("ab") as file:
        file.write(b"% not a copy")
    canvas = Canvas(str(scan.with_name("blank.pdf")))
    for _ in range(2):
        canvas.line(72, 400, 520, 400)
        canvas.showPage()
    canvas.save()
    shutil.copy(manual, scan.with_name("manual.pdf"))
    # A worker looks for the program where this process says that programs are.
    monkeypatch.setenv("PATH", str(tmp_path))
    ocr.find_program.cache_clear()
    summary = parse_corpus(scan.parent, tmp_path / "out", ParseOptions(workers=1))
    ocr.find_program.cache_clear()
    assert summary.warnings == [
        f"2 files have pages that only OCR can read. {ocr.ADVICE}",
        "again.pdf: 1 of 1 pages show text that only OCR can read.",
        "scan.pdf: 1 of 1 pages show text that only OCR can read.",
        "blank.pdf: no text was found on its 2 pages.",
    ]


@pytest.mark.skipif(ocr.find_program() is None, reason="Tesseract is not installed")
def test_a_scanned_page_gives_the_same_blocks_marked_as_ocr(scan: Path, tmp_path: Path) -> None:
    document = parse_pdf(scan)
    assert {block.engine for block in document.blocks} == {"tesseract"}
    assert "The pump starts when the pressure in the tank falls" in document.text
    assert any(b.kind == "heading" and "The Alba pump" in b.text for b in document.blocks)
    assert "read by OCR" in document.warnings[0]
    assert parse_corpus(scan.parent, tmp_path / "out", ParseOptions(workers=1)).pages == 1


@pytest.mark.skipif(ocr.find_program() is None, reason="Tesseract is not installed")
@pytest.mark.parametrize("angle", [0, 4, 90, 180])
def test_a_scan_that_lies_askew_reads_as_a_straight_one(
    tmp_path: Path, manual: Path, angle: float
) -> None:
    document = parse_pdf(write_scan(tmp_path / "scan.pdf", manual, angle))
    (page,) = document.pages
    title = next(block for block in page.blocks if "The Alba pump" in block.text)
    prose = next(block for block in page.blocks if block.text.startswith("The pump starts"))
    assert title.kind == "heading"
    assert prose.text.count("The pump starts when the pressure in the tank falls") == 2
    assert (title.confidence or 0) > 60
    assert (prose.confidence or 0) > 60
    # Boxes are on the page as it is shown: its title stands at the top, however that is turned.
    x, y = (title.bbox[0] + title.bbox[2]) / 2, (title.bbox[1] + title.bbox[3]) / 2
    far = {0: y, 4: y, 90: x, 180: page.height - y}[int(angle)]
    assert far < 0.2 * page.height


def test_a_straight_picture_is_left_as_it_is(manual: Path) -> None:
    with pypdfium2.PdfDocument(manual) as document:
        picture = document[0].render(scale=2).to_pil().convert("L")
    assert scans.skew_of(picture) == 0
    assert scans.skew_of(picture.rotate(5, fillcolor=255)) == pytest.approx(-5, abs=0.3)


SOUND = "The pump was read before, by whoever made this scan, and well enough.\n" * 12
SHIFTED = "".join(chr(ord(char) - 29) if char > " " else char for char in SOUND)


@pytest.mark.skipif(ocr.find_program() is None, reason="Tesseract is not installed")
@pytest.mark.parametrize(
    ("layer", "mode"),
    [(SHIFTED, 3), ("Received 12 May 2031", 0)],
    ids=["hidden and broken", "a stamp"],
)
def test_a_scan_whose_text_layer_is_broken_or_sparse_is_read_by_ocr(
    tmp_path: Path, manual: Path, layer: str, mode: int
) -> None:
    document = parse_pdf(write_scan(tmp_path / "scan.pdf", manual, 0, layer, mode))
    assert {block.engine for block in document.blocks} == {"tesseract"}
    assert "The pump starts when the pressure in the tank falls" in document.text


def test_a_sound_hidden_text_layer_is_kept(tmp_path: Path, manual: Path) -> None:
    document = parse_pdf(write_scan(tmp_path / "scan.pdf", manual, 0, SOUND))
    assert {block.engine for block in document.blocks} == {"pdfium"}
    assert document.text.startswith("The pump was read before")


def test_a_broken_text_layer_is_said_where_nothing_can_read_it(
    tmp_path: Path, manual: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ocr, "find_program", lambda: None)
    document = parse_pdf(write_scan(tmp_path / "scan.pdf", manual, 0, SHIFTED))
    assert document.warnings == (f"1 of 1 pages show text that only OCR can read. {ocr.ADVICE}",)


def draw_scribble(path: Path) -> Path:
    """A page of loops and strokes, as a hand writes that no program reads."""
    chance = random.Random(3)  # noqa: S311
    picture = Image.new("L", (1240, 1754), 255)
    pen = ImageDraw.Draw(picture)
    for line in range(14):
        x, y = 120.0, 160.0 + 110 * line
        points = [(x, y)]
        while x < 1080:
            x += chance.uniform(-6, 22)
            y = 160 + 110 * line + chance.uniform(-34, 34)
            points.append((x, y))
        pen.line(points, fill=30, width=4, joint="curve")
    canvas = Canvas(str(path), pagesize=A4)
    canvas.drawImage(ImageReader(picture), 0, 0, *A4)
    canvas.save()
    return path


@pytest.mark.skipif(ocr.find_program() is None, reason="Tesseract is not installed")
def test_what_ocr_is_unsure_of_is_no_text_and_is_told(tmp_path: Path) -> None:
    document = parse_pdf(draw_scribble(tmp_path / "letter.pdf"))
    assert document.text == ""
    assert document.warnings == ("1 page has handwriting or drawings that were not read: page 1.",)
