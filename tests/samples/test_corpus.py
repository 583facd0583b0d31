"""The sample corpus is whole, can be rebuilt, and holds every kind of content that stages meet."""

import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pdfplumber
import pypdfium2
import pytest
from pdfplumber.utils.exceptions import PdfminerException
from PIL import ImageChops, ImageStat

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
PDFS = SAMPLES / "pdfs"
SCAN = "inspection-note-118-scan.pdf"
LOCKED = "partner-margins-locked.pdf"
LOCKED_OPENS_WITH = "fog-harbour-27"
DAMAGED = "yield-log-damaged.pdf"
# Their bytes also depend on the zlib, Pillow and FreeType of the machine.
COMPRESSED = {SCAN, "service-handbook.pdf", "water-care-guide.pdf"}
NAMES = sorted(path.name for path in PDFS.glob("*.pdf"))
READABLE = [name for name in NAMES if name not in {LOCKED, DAMAGED}]
WITH_TEXT = [name for name in READABLE if name != SCAN]
# PDFium writes this for a hyphen that it takes for a line-end hyphen.
LINE_END_HYPHEN = "\x02"


@cache
def raw_pages(path: Path) -> tuple[str, ...]:
    document = pypdfium2.PdfDocument(path)
    try:
        return tuple(page.get_textpage().get_text_bounded() for page in document)
    finally:
        document.close()


def plain_text(name: str) -> str:
    """All text of a sample, with hyphenated words joined and white space made single."""
    text = re.sub(LINE_END_HYPHEN + r"\s*", "", "\n".join(raw_pages(PDFS / name)))
    return re.sub(r"\s+", " ", text)


def mean_difference(one: Path, other: Path) -> float:
    """Mean difference of the grey values (0 to 255) of the first pages of two files."""
    pages = []
    for path in (one, other):
        document = pypdfium2.PdfDocument(path)
        pages.append(document[0].render(grayscale=True).to_pil())
        document.close()
    return ImageStat.Stat(ImageChops.difference(*pages)).mean[0]


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """Builds the corpus anew, in its own process; at most once for each number asked for."""

    @cache
    def build(turn: int) -> Path:
        out = tmp_path_factory.mktemp(f"build-{turn}")
        command = [sys.executable, str(SAMPLES / "build.py"), "--out", str(out)]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        return out

    return build


def test_files_pages_and_size_are_within_bounds() -> None:
    assert 12 <= len(NAMES) <= 15
    assert 60 <= sum(len(raw_pages(PDFS / name)) for name in READABLE) <= 75
    assert sum(path.stat().st_size for path in PDFS.iterdir()) < 3_000_000


def test_corpus_has_enough_words_to_learn_from() -> None:
    words = sum(len(re.findall(r"[A-Za-z]{2,}", plain_text(name))) for name in WITH_TEXT)
    assert 11_000 <= words <= 18_000


def test_locked_file_opens_with_its_password_only() -> None:
    with pytest.raises(pypdfium2.PdfiumError, match="password"):
        pypdfium2.PdfDocument(PDFS / LOCKED)
    document = pypdfium2.PdfDocument(PDFS / LOCKED, password=LOCKED_OPENS_WITH)
    try:
        assert "Partner Margins" in document[0].get_textpage().get_text_bounded()
    finally:
        document.close()


def test_damaged_file_looks_like_a_pdf_and_cannot_be_opened() -> None:
    assert (PDFS / DAMAGED).read_bytes().startswith(b"%PDF-1.4")
    with pytest.raises(pypdfium2.PdfiumError):
        pypdfium2.PdfDocument(PDFS / DAMAGED)
    with pytest.raises(PdfminerException), pdfplumber.open(PDFS / DAMAGED) as document:
        len(document.pages)


def test_building_twice_gives_the_same_bytes(rebuilt: Callable[[int], Path]) -> None:
    assert sorted(path.name for path in rebuilt(1).iterdir()) == NAMES
    for name in NAMES:
        assert (rebuilt(1) / name).read_bytes() == (rebuilt(2) / name).read_bytes(), name


@pytest.mark.parametrize("name", NAMES)
def test_committed_pdf_is_what_the_texts_build(name: str, rebuilt: Callable[[int], Path]) -> None:
    fresh = rebuilt(1) / name
    if name in COMPRESSED:
        assert raw_pages(fresh) == raw_pages(PDFS / name)
        assert mean_difference(fresh, PDFS / name) < 2
    else:
        assert fresh.read_bytes() == (PDFS / name).read_bytes()


@pytest.mark.parametrize("name", WITH_TEXT)
def test_every_page_has_text(name: str) -> None:
    assert all(len(page.strip()) > 80 for page in raw_pages(PDFS / name))


def test_scanned_page_is_a_picture_without_text() -> None:
    assert raw_pages(PDFS / SCAN) == ("",)
    with pdfplumber.open(PDFS / SCAN) as document:
        (image,) = document.pages[0].images
        assert image["width"] == pytest.approx(document.pages[0].width)


@pytest.mark.parametrize("name", WITH_TEXT)
def test_every_document_has_title_bookmarks_header_and_footer(name: str) -> None:
    document = pypdfium2.PdfDocument(PDFS / name)
    try:
        title = document.get_metadata_dict()["Title"].split(":")[0]
        assert len(list(document.get_toc())) >= 4
        last = document[len(document) - 1].get_textpage().get_text_bounded()
    finally:
        document.close()
    assert title in last
    assert re.search(rf"Orrowick Fogworks · OF-\w+\s+Page {len(raw_pages(PDFS / name))}\b", last)


def test_manuals_have_numbered_headings_on_three_levels() -> None:
    text = "\n".join(raw_pages(PDFS / "tollen-reference.pdf"))
    for heading in ("4 The lamp codes", "4.1 Amber codes", "4.1.2 A02 Skeen due"):
        assert re.search(rf"^{re.escape(heading)}\s*$", text, re.MULTILINE)


def test_nested_lists_captions_and_terminal_blocks_are_there() -> None:
    assert re.search(r"3\. Inspect the drape: a\) hold", plain_text("service-handbook.pdf"))
    assert "Figure 1. The sill cut across." in plain_text("service-handbook.pdf")
    assert "tollen> status unit Nimbrel 7" in plain_text("tollen-reference.pdf")


@pytest.mark.parametrize("name", ["service-handbook.pdf", "bulletin-27-spring-2031.pdf"])
def test_justified_documents_have_hyphenated_line_ends(name: str) -> None:
    assert "".join(raw_pages(PDFS / name)).count(LINE_END_HYPHEN) >= 3


def test_ruled_table_runs_over_a_page_break_with_its_head_repeated() -> None:
    with pdfplumber.open(PDFS / "price-table-2031.pdf") as document:
        heads = [table.extract()[0] for page in document.pages for table in page.find_tables()]
    assert heads.count(["Part", "Name", "Fits", "Price"]) == 2


def test_borderless_table_has_text_and_no_rules() -> None:
    with pdfplumber.open(PDFS / "nimbrel-3-owners-manual.pdf") as document:
        page = next(page for page in document.pages if "Far hills" in page.extract_text())
        ruled = [row for table in page.extract_tables() for row in table]
    assert not any("Far hills" in str(cell) for row in ruled for cell in row)


def test_bulletin_is_set_in_two_columns() -> None:
    with pdfplumber.open(PDFS / "bulletin-27-spring-2031.pdf") as document:
        page = document.pages[0]
        body = page.crop((0, 150, page.width, page.height - 60))
        gutter = page.width / 2
        words = body.extract_words()
    assert not any(word["x0"] < gutter < word["x1"] for word in words)
    assert min(sum(word["x1"] < gutter for word in words), len(words) // 3) > 100


def test_one_document_embeds_its_fonts() -> None:
    with pdfplumber.open(PDFS / "water-care-guide.pdf") as document:
        fonts = {char["fontname"] for char in document.pages[0].chars}
    assert any("+" in font and "Vera" in font for font in fonts)
