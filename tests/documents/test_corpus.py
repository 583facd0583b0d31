"""A folder of PDFs to Parquet, with bad files among them."""

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from doctune.documents import ParseOptions, corpus_digest, parse_corpus
from doctune.errors import CorpusError

OPTIONS = ParseOptions(workers=1)


@pytest.fixture
def folder(tmp_path: Path, manual: Path) -> Path:
    folder = tmp_path / "pdfs"
    (folder / "deep").mkdir(parents=True)
    shutil.copy(manual, folder / "deep" / "manual.PDF")
    return folder


def test_blocks_and_documents_are_written(folder: Path, tmp_path: Path) -> None:
    (folder / "bad.pdf").write_bytes(b"not at all")
    summary = parse_corpus(folder, tmp_path / "out", OPTIONS)
    assert (summary.files_parsed, summary.files_rejected, summary.pages) == (1, 1, 5)
    assert summary.rejects[0].source == "bad.pdf"
    assert "not a PDF" in summary.rejects[0].reason

    rows = pq.read_table(tmp_path / "out" / "documents.parquet").to_pylist()
    assert [(row["source"], row["status"]) for row in rows] == [
        ("bad.pdf", "rejected"),
        ("deep/manual.PDF", "parsed"),
    ]
    assert rows[0]["reason"] == "not a PDF"
    assert (rows[1]["pages"], rows[1]["language"], rows[1]["title"]) == (5, "en", "Alba manual")

    blocks = pq.read_table(tmp_path / "out" / "blocks.parquet").to_pylist()
    assert {block["doc_id"] for block in blocks} == {rows[1]["doc_id"]}
    assert [block["block"] for block in blocks] == list(range(len(blocks)))
    tables = [block for block in blocks if block["kind"] == "table"]
    assert tables[0]["rows"][0] == ["Pump", "Flow", "Price"]
    assert all(block["rows"] is None for block in blocks if block["kind"] != "table")


def test_digest_is_that_of_the_folder_and_changes_with_it(folder: Path, tmp_path: Path) -> None:
    before = corpus_digest(folder)
    assert parse_corpus(folder, tmp_path / "out", OPTIONS).digest == before
    (folder / ".hidden.pdf").write_bytes(b"x")
    assert corpus_digest(folder) == before
    (folder / "more.pdf").write_bytes(b"x")
    assert corpus_digest(folder) != before


def test_exact_copies_are_read_once(folder: Path, manual: Path, tmp_path: Path) -> None:
    shutil.copy(manual, folder / "copy.pdf")
    summary = parse_corpus(folder, tmp_path / "out", OPTIONS)
    assert (summary.files_parsed, summary.pages) == (2, 5)
    assert any("exact copy" in warning for warning in summary.warnings)


def test_report_names_files_and_rejects(folder: Path, tmp_path: Path) -> None:
    (folder / "<b>bad.pdf").write_bytes(b"")
    parse_corpus(folder, tmp_path / "out", OPTIONS, report_path=tmp_path / "report.html")
    report = (tmp_path / "report.html").read_text()
    assert "manual.PDF" in report
    assert "&lt;b&gt;bad.pdf" in report
    assert "<b>bad" not in report


@pytest.mark.parametrize("content", [None, b"nothing"])
def test_folder_without_a_readable_pdf_is_one_clear_error(
    tmp_path: Path, content: bytes | None
) -> None:
    folder = tmp_path / "pdfs"
    folder.mkdir()
    (folder / "notes.txt").write_text("no PDF")
    if content is not None:
        (folder / "bad.pdf").write_bytes(content)
    with pytest.raises(CorpusError) as caught:
        parse_corpus(folder, tmp_path / "out", OPTIONS)
    assert "\n" not in str(caught.value)


def test_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="not a folder"):
        parse_corpus(tmp_path / "none", tmp_path / "out", OPTIONS)


def test_too_large_a_share_of_rejects_is_an_error(folder: Path, tmp_path: Path) -> None:
    for name in "abc":
        (folder / f"{name}.pdf").write_bytes(name.encode())
    parse_corpus(folder, tmp_path / "out", OPTIONS.model_copy(update={"max_failure_share": 0.75}))
    with pytest.raises(CorpusError, match="max_failure_share"):
        parse_corpus(
            folder, tmp_path / "out", OPTIONS.model_copy(update={"max_failure_share": 0.7})
        )
