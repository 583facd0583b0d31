"""A folder of PDFs to Parquet, with bad files among them."""

import logging
import os
import shutil
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from doctune.documents import ParseOptions, corpus_digest, parse_corpus, parse_paths
from doctune.errors import CorpusError
from tests.documents.rawpdf import one_page, stream, write_raw

# Many files here are bad on purpose.
OPTIONS = ParseOptions(workers=1, max_failure_share=0.9)
HELLO = b"BT /F1 12 Tf 72 700 Td (Hello there) Tj ET"


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


def test_a_file_without_any_text_is_to_be_looked_at(folder: Path, tmp_path: Path) -> None:
    write_raw(folder / "blank.pdf", one_page(stream(b"72 72 m 500 72 l S")))
    summary = parse_corpus(folder, tmp_path / "out", OPTIONS)
    assert summary.warnings == ["blank.pdf: no text was found on its 1 pages."]


def test_files_and_folders_are_read_from_wherever_they_are(folder: Path, tmp_path: Path) -> None:
    write_raw(tmp_path / "other" / "named-by-its-bytes", one_page(stream(HELLO)))
    write_raw(tmp_path / "other" / "not-asked-for.pdf", one_page(stream(HELLO)))
    given = [folder, tmp_path / "other" / "named-by-its-bytes", tmp_path / "other" / "gone.pdf"]
    summary = parse_corpus(given, tmp_path / "out", OPTIONS)
    rows = pq.read_table(tmp_path / "out" / "documents.parquet").to_pylist()
    assert [(row["source"], row["reason"]) for row in rows] == [
        ("other/gone.pdf", "missing"),
        ("other/named-by-its-bytes", None),
        ("pdfs/deep/manual.PDF", None),
    ]
    assert summary.pages == 6
    with pytest.raises(CorpusError, match="nothing to read"):
        parse_corpus([], tmp_path / "out", OPTIONS)


def test_a_pdf_is_known_by_its_first_bytes_whatever_its_name(tmp_path: Path) -> None:
    write_raw(tmp_path / "pdfs" / "report.doc", one_page(stream(HELLO)))
    (tmp_path / "pdfs" / "picture.pdf").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    (tmp_path / "pdfs" / "notes.doc").write_bytes(b"no PDF")
    summary = parse_corpus(tmp_path / "pdfs", tmp_path / "out", OPTIONS)
    assert (summary.files_parsed, summary.files_rejected) == (1, 1)
    assert "not a PDF" in summary.rejects[0].reason


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_that_are_no_text_are_read_as_others(tmp_path: Path) -> None:
    folder = tmp_path / "pdfs"
    good = write_raw(folder / "good.pdf", one_page(stream(HELLO)))
    good.rename(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.pdf"))
    Path(os.fsdecode(os.fsencode(folder) + b"/bad\xff.pdf")).write_bytes(b"no PDF")
    summary = parse_corpus(folder, tmp_path / "out", OPTIONS, report_path=tmp_path / "report.html")
    rows = pq.read_table(tmp_path / "out" / "documents.parquet").to_pylist()
    assert [row["source"] for row in rows] == ["bad\\xff.pdf", "caf\\xe9.pdf"]
    assert summary.files_parsed == 1
    rejects = parse_paths([folder], tmp_path / "md", options=OPTIONS)
    assert rejects[0].source.endswith("bad\\xff.pdf")


def test_progress_says_files_pages_rate_and_rejects(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "bad.pdf").write_bytes(b"not at all")
    with caplog.at_level(logging.INFO, "doctune.progress"):
        parse_corpus(folder, tmp_path / "out", OPTIONS)
    last = caplog.messages[-1]
    assert "5/5 pages" in last
    assert "pages/s" in last
    assert "1 of 2 files, 1 rejected" in last


def test_what_is_written_replaces_what_was_there_only_when_it_is_whole(
    folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    parse_corpus(folder, out, OPTIONS)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    for path in folder.rglob("*.PDF"):
        path.write_bytes(b"nothing")
    with pytest.raises(CorpusError):
        parse_corpus(tmp_path / "none", out, OPTIONS)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


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
    with pytest.raises(CorpusError, match=r"documents\.max_failure_share \(0\.7\).*a\.pdf.*b\.pdf"):
        parse_corpus(
            folder, tmp_path / "out", OPTIONS.model_copy(update={"max_failure_share": 0.7})
        )
