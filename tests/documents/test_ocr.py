"""Scanned pages: read by the OCR engine that is installed, said plainly where none is."""

import random
import shutil
from pathlib import Path
from typing import Literal

import pypdfium2
import pytest
from PIL import Image, ImageDraw, ImageFont
from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from doctune.documents import (
    ParseOptions,
    ocr,
    ocr_rapid,
    ocr_tesseract,
    parse_corpus,
    parse_pdf,
    scans,
)
from doctune.errors import CorpusError

_DEJAVU = Path("/usr/share/fonts/truetype/dejavu/DejaVuSerif.ttf")
needs_tesseract = pytest.mark.skipif(
    not ocr_tesseract.is_installed(), reason="Tesseract is not installed"
)


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


def test_without_an_engine_the_warning_says_what_to_install(
    scan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ocr, "find_engine", lambda choice: None)
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
    ocr_tesseract.find_program.cache_clear()
    options = ParseOptions(workers=1, ocr="tesseract")
    summary = parse_corpus(scan.parent, tmp_path / "out", options)
    ocr_tesseract.find_program.cache_clear()
    assert summary.warnings == [
        f"2 files have pages that only OCR can read. {ocr.ADVICE}",
        "again.pdf: 1 of 1 pages show text that only OCR can read.",
        "scan.pdf: 1 of 1 pages show text that only OCR can read.",
        "blank.pdf: no text was found on its 2 pages.",
    ]


def test_a_scanned_page_gives_the_same_blocks_marked_as_ocr(scan: Path, tmp_path: Path) -> None:
    document = parse_pdf(scan)
    assert {block.engine for block in document.blocks} == {"rapidocr"}
    assert "The pump starts when the pressure in the tank falls" in document.text
    assert any(b.kind == "heading" and "The Alba pump" in b.text for b in document.blocks)
    assert "read by OCR" in document.warnings[0]
    assert parse_corpus(scan.parent, tmp_path / "out", ParseOptions(workers=1)).pages == 1


@needs_tesseract
@pytest.mark.parametrize(
    ("engine", "angle"),
    [*(("tesseract", angle) for angle in (0, 4, 90, 180)), ("rapidocr", 90)],
)
def test_a_scan_that_lies_askew_reads_as_a_straight_one(
    tmp_path: Path, manual: Path, engine: Literal["rapidocr", "tesseract"], angle: float
) -> None:
    path = write_scan(tmp_path / "scan.pdf", manual, angle)
    document = parse_pdf(path, ParseOptions(ocr=engine))
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


@needs_tesseract
@pytest.mark.parametrize(
    ("layer", "mode"),
    [(SHIFTED, 3), ("Received 12 May 2031", 0)],
    ids=["hidden and broken", "a stamp"],
)
def test_a_scan_whose_text_layer_is_broken_or_sparse_is_read_by_ocr(
    tmp_path: Path, manual: Path, layer: str, mode: int
) -> None:
    path = write_scan(tmp_path / "scan.pdf", manual, 0, layer, mode)
    document = parse_pdf(path, ParseOptions(ocr="tesseract"))
    assert {block.engine for block in document.blocks} == {"tesseract"}
    assert "The pump starts when the pressure in the tank falls" in document.text


def test_a_sound_hidden_text_layer_is_kept(tmp_path: Path, manual: Path) -> None:
    document = parse_pdf(write_scan(tmp_path / "scan.pdf", manual, 0, SOUND))
    assert {block.engine for block in document.blocks} == {"pdfium"}
    assert document.text.startswith("The pump was read before")


def test_a_broken_text_layer_is_said_where_nothing_can_read_it(
    tmp_path: Path, manual: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ocr, "find_engine", lambda choice: None)
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


@needs_tesseract
@pytest.mark.parametrize("engine", ["rapidocr", "tesseract"])
def test_what_ocr_is_unsure_of_is_no_text_and_is_told(
    tmp_path: Path, engine: Literal["rapidocr", "tesseract"]
) -> None:
    path = draw_scribble(tmp_path / "letter.pdf")
    document = parse_pdf(path, ParseOptions(ocr=engine))
    assert document.text == ""
    assert document.warnings == ("1 page has handwriting or drawings that were not read: page 1.",)


def test_an_engine_can_be_chosen_and_the_first_installed_one_is_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ocr_tesseract, "find_program", lambda: "/usr/bin/tesseract")
    assert ocr.find_engine("auto") is ocr_rapid
    assert ocr.find_engine("tesseract") is ocr_tesseract
    assert ocr.find_engine("off") is None
    monkeypatch.setattr(ocr_rapid, "is_installed", lambda: False)
    assert ocr.find_engine("auto") is ocr_tesseract
    assert ocr.find_engine("rapidocr") is None


def page_of_lines(text: str) -> Image.Image:
    picture = Image.new("L", (1300, 700), 255)
    draw = ImageDraw.Draw(picture)
    for row in range(9):
        draw.text((60, 40 + 70 * row), text, font=ImageFont.truetype(str(_DEJAVU), 30), fill=0)
    return picture


@needs_tesseract
@pytest.mark.skipif(not _DEJAVU.is_file(), reason="the font is not installed")
@pytest.mark.parametrize(
    ("text", "languages"),
    [
        (
            "\u041d\u0430\u0441\u043e\u0441 \u0440\u0430\u0431\u043e\u0442\u0430\u0435\u0442 "
            "\u0431\u0435\u0437 \u0432\u043e\u0434\u044b \u043c\u0438\u043d\u0443\u0442\u0443",
            ["rus", "eng"],
        ),
        ("The pump runs without water for a minute only", []),
    ],
    ids=["Cyrillic", "Latin"],
)
def test_tesseract_reads_a_script_of_its_own_in_the_language_that_is_installed(
    text: str, languages: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ocr_tesseract, "languages_of", lambda program: ("deu", "eng", "osd", "rus"))
    assert ocr_tesseract.script_languages(page_of_lines(text), 200) == languages


def test_without_a_language_of_another_script_no_time_is_spent_on_finding_the_script(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ocr_tesseract, "find_program", lambda: "/nowhere/tesseract")
    monkeypatch.setattr(ocr_tesseract, "languages_of", lambda program: ("deu", "eng", "osd"))
    monkeypatch.setattr(ocr_tesseract, "_run", lambda *_: pytest.fail("Tesseract was called"))
    assert ocr_tesseract.script_languages(Image.new("L", (9, 9)), 200) == []


def test_rows_of_a_scan_stay_rows_and_columns_of_prose_are_read_one_by_one(tmp_path: Path) -> None:
    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=A4)
    canvas.setFont("Helvetica", 11)
    for row in range(6):
        canvas.drawString(60, 780 - 16 * row, f"Left column in its sentence {row} of six.")
        canvas.drawString(310, 777 - 16 * row, f"Right column in its sentence {row} of six.")
    canvas.drawString(
        60, 640, "The parts of both units in one list, each with its price in crowns:"
    )
    for row, (name, price) in enumerate((("Belt", "125"), ("Lens", "308"), ("Motor", "977"))):
        canvas.drawString(60, 600 - 22 * row, f"\u2022 {name} of the unit")
        canvas.drawString(420, 600 - 22 * row, price)
    canvas.save()
    with pypdfium2.PdfDocument(tmp_path / "a.pdf") as document:
        picture = document[0].render(scale=200 / 72).to_pil().convert("L")
    lines, quarters = ocr_rapid.read(picture, 200) or ([], -1)
    assert quarters == 0
    assert [line.text for line in lines] == [
        *(f"Left column in its sentence {row} of six." for row in range(6)),
        *(f"Right column in its sentence {row} of six." for row in range(6)),
        "The parts of both units in one list, each with its price in crowns:",
        "\u2022 Belt of the unit 125",
        "\u2022 Lens of the unit 308",
        "\u2022 Motor of the unit 977",
    ]
