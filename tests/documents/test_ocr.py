"""Scanned pages: read by Tesseract where it is, said plainly where it is not."""

from pathlib import Path

import pypdfium2
import pytest
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from doctune.documents import ParseOptions, ocr, parse_corpus, parse_pdf
from doctune.errors import CorpusError


@pytest.fixture
def scan(tmp_path: Path, manual: Path) -> Path:
    """The manual's first page as a picture of it."""
    with pypdfium2.PdfDocument(manual) as document:
        picture = document[0].render(scale=2.5).to_pil()
    folder = tmp_path / "pdfs"
    folder.mkdir()
    canvas = Canvas(str(folder / "scan.pdf"), pagesize=(595, 842))
    canvas.drawImage(ImageReader(picture), 0, 0, 595, 842)
    canvas.showPage()
    canvas.save()
    return folder / "scan.pdf"


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


@pytest.mark.skipif(ocr.find_program() is None, reason="Tesseract is not installed")
def test_a_scanned_page_gives_the_same_blocks_marked_as_ocr(scan: Path, tmp_path: Path) -> None:
    document = parse_pdf(scan)
    assert {block.engine for block in document.blocks} == {"tesseract"}
    assert "The pump starts when the pressure in the tank falls" in document.text
    assert any(b.kind == "heading" and "The Alba pump" in b.text for b in document.blocks)
    assert "read by OCR" in document.warnings[0]
    assert parse_corpus(scan.parent, tmp_path / "out", ParseOptions(workers=1)).pages == 1
