"""The characters that PDFium has of a page and no block holds are counted and told."""

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from doctune.documents import ParseOptions, parse_corpus, parse_pdf, parser
from doctune.documents.account import count_characters, count_lost
from doctune.documents.model import Block
from tests.documents.conftest import heading, prose

ROOT = Path(__file__).parents[2]
# Other PDFs to test with, where they lie in the checkout or beside it.
SHARED = next(
    (
        folder
        for folder in (ROOT / "shared" / "pdfs", ROOT.parent / "shared" / "pdfs")
        if folder.is_dir()
    ),
    None,
)
SAMPLES = sorted((Path(__file__).parents[2] / "samples" / "pdfs").glob("*.pdf"))
LOCKED, DAMAGED = "partner-margins-locked.pdf", "yield-log-damaged.pdf"


def block(text: str) -> Block:
    return Block(1, "paragraph", text, (0.0, 0.0, 1.0, 1.0))


def shares_lost(paths: list[Path]) -> list[float]:
    """The share of each file's characters that no block holds."""
    shares = []
    for path in paths:
        pages = parse_pdf(path, ParseOptions(ocr="off")).pages
        there = sum(page.text_chars for page in pages)
        shares.append(sum(page.lost_chars for page in pages) / max(1, there))
    return shares


def test_of_the_samples_nothing_is_lost() -> None:
    shares = shares_lost([path for path in SAMPLES if path.name not in (LOCKED, DAMAGED)])
    assert len(shares) >= 10
    assert sum(shares) / len(shares) < 0.005


@pytest.mark.skipif(SHARED is None, reason="there are no other PDFs beside the checkout")
def test_of_other_documents_nothing_is_lost() -> None:
    folders = ("filings", "pages", "papers", "tables")
    paths = [path for name in folders for path in sorted((SHARED or ROOT).glob(f"{name}/*.pdf"))]
    shares = shares_lost(paths)
    assert sum(shares) / len(shares) < 0.005


def test_what_no_block_holds_is_counted_page_by_page() -> None:
    texts = [count_characters("one two three"), count_characters("four")]
    assert count_lost(texts, [[block("one two")], [block("four")]]) == [5, 0]


def test_a_paragraph_that_goes_on_over_the_page_is_not_lost() -> None:
    texts = [count_characters("one two"), count_characters("three four")]
    assert count_lost(texts, [[block("one two three")], [block("four")]]) == [0, 0]


def test_hyphens_ligatures_and_spaces_do_not_count() -> None:
    there = count_characters("e\ufb03cient pro-\r\ngram\u00a0x")
    assert count_lost([there], [[block("efficient program x")]]) == [0]


def test_a_reader_that_loses_text_says_so(
    make_pdf: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_pdf("a.pdf", [heading("Pumps"), prose(), prose()])
    assert parse_pdf(path).pages[0].lost_chars == 0
    whole = parser.build_blocks
    monkeypatch.setattr(
        parser, "build_blocks", lambda *arguments: [page[:-1] for page in whole(*arguments)]
    )
    page = parse_pdf(path).pages[0]
    assert page.lost_chars > 0.3 * page.text_chars
    (warning,) = parse_pdf(path).warnings
    assert "are in no block: page 1" in warning


def test_the_table_of_documents_has_the_counts(
    make_pdf: Callable[..., Path], tmp_path: Path
) -> None:
    make_pdf("in/a.pdf", [heading("Pumps"), prose()])
    report = tmp_path / "report.html"
    parse_corpus(tmp_path / "in", tmp_path / "out", ParseOptions(workers=1), report_path=report)
    (row,) = pq.read_table(tmp_path / "out" / "documents.parquet").to_pylist()
    assert row["text_chars"] > 200
    assert row["lost_chars"] == 0
    assert "of the characters in no block" in report.read_text("utf-8")
