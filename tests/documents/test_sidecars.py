"""Sidecar files: who may find a document, and of which date it is."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from doctune.documents import ParseOptions, corpus_digest, join_shards, parse_corpus
from doctune.documents.sidecars import Labels, creation_date, read_labels, sidecar_files
from doctune.errors import CorpusError
from tests.documents.rawpdf import one_page, stream, write_raw
from tests.documents.test_structure import portfolio

OPTIONS = ParseOptions(workers=1, attachments=True)


def say(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "pdfs"
    (folder / "board").mkdir(parents=True)
    portfolio(folder / "board" / "plan.pdf", [b"part.pdf"])
    text = stream(b"BT /F1 12 Tf 72 700 Td (Open page) Tj ET")
    write_raw(folder / "open.pdf", one_page(text))
    say(folder / "board.doctune.yaml", "groups: [board, owners]\ndate: 2026-03-01\n")
    return folder


def rows_of(out: Path) -> dict[str, dict[str, Any]]:
    rows = pq.read_table(out / "documents.parquet").to_pylist()
    return {row["source"]: row for row in rows}


def test_the_rows_say_who_may_find_each_file_attached_ones_too(
    folder: Path, tmp_path: Path
) -> None:
    parse_corpus(folder, tmp_path / "out", OPTIONS)
    rows = rows_of(tmp_path / "out")
    for name in ("board/plan.pdf", "board/plan.pdf/part.pdf"):
        assert (rows[name]["groups"], rows[name]["date"]) == (["board", "owners"], "2026-03-01")
    assert rows["open.pdf"]["groups"] is None


def test_the_nearest_sidecar_counts_field_by_field(folder: Path) -> None:
    say(folder / "board" / "plan.pdf.doctune.yaml", "groups: [chair]")
    paths = [folder / "board" / "plan.pdf", folder / "open.pdf"]
    assert read_labels(folder, paths) == [Labels(("chair",), "2026-03-01"), Labels()]
    assert [path.name for path in sidecar_files(folder, paths)] == [
        "plan.pdf.doctune.yaml",
        "board.doctune.yaml",
    ]


def test_another_sidecar_is_another_corpus_also_over_shards(folder: Path, tmp_path: Path) -> None:
    options = ParseOptions(workers=1)
    before = corpus_digest(folder)
    parts = [tmp_path / "one", tmp_path / "two"]
    for part, name in zip(parts, ["board/plan.pdf", "open.pdf"], strict=True):
        parse_corpus(folder, part, options, sources=[name])
    joined = join_shards(parts, tmp_path / "joined", options)
    assert joined.digest == parse_corpus(folder, tmp_path / "whole", options).digest == before
    assert rows_of(tmp_path / "joined")["board/plan.pdf"]["groups"] == ["board", "owners"]
    say(folder / "board.doctune.yaml", "groups: [board]\ndate: 2026-03-01\n")
    assert corpus_digest(folder) != before
    (folder / "board.doctune.yaml").unlink()
    assert corpus_digest(folder) != before


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("group: board", "group: Extra inputs"),
        ("groups: []", "groups: Tuple should have at least 1 item"),
        ("groups: board", "groups: Input should be a valid tuple"),
        ("groups: ['']", "groups.0: String should have at least 1 character"),
        ("date: soon", "date: Input should be a valid date"),
        ("- board", "content: Input should be a valid dictionary"),
        ("groups: [board", "is not YAML"),
    ],
)
def test_a_sidecar_that_is_wrong_ends_the_run_before_anything_is_read(
    folder: Path, tmp_path: Path, content: str, problem: str
) -> None:
    say(folder / "board.doctune.yaml", content)
    with pytest.raises(CorpusError, match=r"board\.doctune\.yaml") as error:
        parse_corpus(folder, tmp_path / "out", OPTIONS)
    assert problem in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out" / "documents.parquet").exists()


@pytest.mark.parametrize(
    ("written", "date"),
    [
        ("D:20190412093000Z", "2019-04-12"),
        ("20240229", "2024-02-29"),
        ("D:20230229", ""),
        ("12 April", ""),
        ("", ""),
    ],
)
def test_without_a_sidecar_the_date_is_that_of_creation(written: str, date: str) -> None:
    assert creation_date({"creationdate": written}) == date
