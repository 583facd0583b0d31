"""One PDF to a Document."""

from pathlib import Path

import pytest

from doctune.documents import Document, ParseOptions, PdfError, parse_pdf
from tests.documents.conftest import PRICES


@pytest.fixture(scope="module")
def document(manual: Path) -> Document:
    return parse_pdf(manual)


def of_kind(document: Document, kind: str) -> list[str]:
    return [block.text for block in document.blocks if block.kind == kind]


def test_headings_have_their_text_and_level(document: Document) -> None:
    headings = [(b.level, b.text) for b in document.blocks if b.kind == "heading"]
    assert headings[:3] == [(1, "1 The Alba pump"), (2, "1.1 Starting it"), (2, "1.2 Prices")]
    assert headings[3:] == [(1, f"{n} Chapter") for n in range(2, 6)]


def test_paragraphs_are_joined_over_lines(document: Document) -> None:
    first = of_kind(document, "paragraph")[0]
    assert first.startswith("The pump starts when the pressure in the tank falls below the lower")
    assert first.endswith("nothing happens at all.")


def test_list_items_are_items(document: Document) -> None:
    items = of_kind(document, "list")
    assert [item.split(" ", 1)[1] for item in items] == ["Open the valve.", "Press start."]


def test_ruled_table_becomes_rows(document: Document) -> None:
    (table,) = document.tables
    assert table.rows == tuple(map(tuple, PRICES))
    assert table.text.splitlines()[0] == "| Pump | Flow | Price |"


def test_code_keeps_its_indentation(document: Document) -> None:
    assert of_kind(document, "code") == ["if low:\n    start()\nelse:\n    stop()"]


def test_running_lines_are_marked_and_not_in_the_text(document: Document) -> None:
    assert of_kind(document, "header") == ["Alba pumps, edition three"] * 5
    assert of_kind(document, "footer") == ["1", "2", "3", "4", "5"]
    assert "edition three" not in document.text
    assert "edition three" not in document.markdown


def test_boxes_lie_on_the_page_with_the_first_heading_on_top(document: Document) -> None:
    page = document.pages[0]
    for block in page.blocks:
        x0, y0, x1, y1 = block.bbox
        assert 0 <= x0 < x1 <= page.width
        assert 0 <= y0 < y1 <= page.height
    assert page.blocks[1].bbox[1] < 120


def test_metadata_title_and_language(document: Document) -> None:
    assert document.metadata["title"] == document.title == "Alba manual"
    assert document.language == "en"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(3000), "not a PDF"),
        (b"%PDF-1.7\n" + b"x" * 5000, "truncated"),
        (b"%PDF-1.7\nnothing here\n%%EOF\n", "damaged"),
    ],
)
def test_what_cannot_be_read_says_why(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "bad.pdf"
    path.write_bytes(content)
    with pytest.raises(PdfError) as caught:
        parse_pdf(path)
    assert caught.value.reason == reason
    assert "bad.pdf" in str(caught.value)


def test_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(PdfError, match="no such file"):
        parse_pdf(tmp_path / "none.pdf")


def test_more_pages_than_allowed_are_refused(manual: Path) -> None:
    with pytest.raises(PdfError, match="max_pages"):
        parse_pdf(manual, ParseOptions(max_pages=4))
