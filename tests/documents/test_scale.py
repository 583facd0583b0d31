"""Many files and large ones: shards, resuming, near-identical editions, huge files."""

import shutil
from collections.abc import Callable
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from doctune.documents import (
    ParseOptions,
    PdfError,
    join_shards,
    parse_corpus,
    parse_paths,
    parse_pdf,
    plan_shards,
)
from doctune.documents.pool import Outcome, Task, WorkerPool
from doctune.errors import CorpusError, UsageError
from tests.documents.conftest import PROSE, heading, prose, write_pdf
from tests.documents.rawpdf import stream, write_book, write_raw

# Many files here are bad on purpose.
OPTIONS = ParseOptions(workers=1, max_failure_share=0.9)


def write_pages(path: Path, count: int) -> Path:
    """A file of many pages that all show one content."""
    lines = b" ".join(b"(The pump number %d of the hall runs.) Tj 0 -14 Td" % n for n in range(40))
    kids = b" ".join([b"3 0 R"] * count)
    return write_raw(
        path,
        {
            1: b"<< /Type /Catalog /Pages 2 0 R >>",
            2: b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, count),
            3: b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
            b"/Resources << /Font << /F1 5 0 R >> >> >>",
            4: stream(b"BT /F1 10 Tf 72 720 Td %s ET" % lines),
            5: b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        },
    )


@pytest.fixture
def folder(tmp_path: Path, manual: Path) -> Path:
    folder = tmp_path / "pdfs"
    folder.mkdir()
    shutil.copy(manual, folder / "manual.pdf")
    write_pages(folder / "long.pdf", 8)
    write_pages(folder / "longer.pdf", 11)
    write_pages(folder / "short.pdf", 3)
    (folder / "bad.pdf").write_bytes(b"nothing")
    return folder


def test_shards_are_balanced_by_bytes_and_hold_each_file_once(folder: Path) -> None:
    shards = plan_shards(folder, 2)
    assert sorted(source for shard in shards for source in shard.sources) == [
        "bad.pdf",
        "long.pdf",
        "longer.pdf",
        "manual.pdf",
        "short.pdf",
    ]
    sizes = sorted(path.stat().st_size for path in folder.glob("*.pdf"))
    assert sum(shard.bytes for shard in shards) == sum(sizes)
    assert abs(shards[0].bytes - shards[1].bytes) <= sizes[-1]


def test_planning_opens_no_file_that_has_no_twin(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from doctune.documents import shards

    shutil.copy(folder / "manual.pdf", folder / "copy.pdf")
    opened = []
    digest = shards.digest_pdf
    monkeypatch.setattr(shards, "digest_pdf", lambda path: opened.append(path) or digest(path))

    planned = plan_shards(folder, 50)

    assert sorted(path.name for path in opened) == ["copy.pdf", "manual.pdf"]
    assert ("copy.pdf", "manual.pdf") in [shard.sources for shard in planned]


def test_a_shard_lists_no_folder(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from doctune.documents import files

    (shard, *_) = plan_shards(folder, 2)
    monkeypatch.setattr(files, "list_pdfs", None)  # would fail if it were called

    parse_corpus(folder, tmp_path / "part", OPTIONS, sources=shard.sources)

    rows = pq.read_table(tmp_path / "part" / "documents.parquet").to_pylist()
    assert tuple(row["source"] for row in rows) == shard.sources


@pytest.mark.parametrize("name", ["../secret.pdf", "/etc/secret.pdf", "a/../../b.pdf"])
def test_a_name_of_a_plan_stays_under_the_folder(folder: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(CorpusError, match="not a name under"):
        parse_corpus(folder, tmp_path / "out", OPTIONS, sources=[name])


def test_there_are_never_more_shards_than_files(folder: Path) -> None:
    assert len(plan_shards(folder, 50)) == 5
    with pytest.raises(CorpusError, match="shards"):
        plan_shards(folder, 0)


def test_shards_joined_are_what_one_run_gives(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "manual.pdf", folder / "copy.pdf")
    whole = parse_corpus(folder, tmp_path / "whole", OPTIONS)
    parts = []
    for number, shard in enumerate(plan_shards(folder, 2)):
        parts.append(tmp_path / f"part-{number}")
        parse_corpus(folder, parts[-1], OPTIONS, sources=shard.sources)
    joined = join_shards(parts, tmp_path / "joined", OPTIONS)
    assert joined == whole

    def blocks(out: str) -> list[dict[str, object]]:
        return pq.read_table(tmp_path / out / "blocks.parquet").to_pylist()

    assert blocks("joined") == blocks("whole")


def test_near_identical_editions_are_reported(
    tmp_path: Path, make_pdf: Callable[..., Path]
) -> None:
    folder = tmp_path / "pdfs"
    texts = [f"Chapter {n} says. {PROSE}" for n in range(20)]
    write_pdf(folder / "first.pdf", [heading("Guide"), *map(prose, texts)])
    write_pdf(folder / "second.pdf", [heading("Guide"), *map(prose, [*texts[:-1], "New. " * 20])])
    write_pdf(
        folder / "other.pdf", [prose(f"Something else entirely, {n}. " * 4) for n in range(9)]
    )
    summary = parse_corpus(folder, tmp_path / "out", OPTIONS)
    (warning,) = [line for line in summary.warnings if "nearly identical" in line]
    assert "first.pdf and second.pdf" in warning


def peaks_and_loads(path: Path, count: int, workers: int) -> tuple[float, list[float]]:
    """Reads a file by parts; returns a worker's most memory, in MiB, and each one's seconds."""
    peaks = []

    def keep(_: Task, outcome: Outcome) -> list[Task]:
        assert not isinstance(outcome, PdfError)
        peaks.append(float(outcome["peak_mb"]))
        return []

    def seconds() -> dict[int, float]:
        children = psutil.Process().children()
        return {child.pid: sum(child.cpu_times()[:2]) for child in children}

    others = seconds().keys()
    with WorkerPool(workers, ParseOptions()) as pool:
        pool.run([Task(0, path)] * workers, lambda *_: [])
        before = seconds()
        pool.run([Task(0, path, first, first + 100) for first in range(0, count, 100)], keep)
        loads = [used - before[pid] for pid, used in seconds().items() if pid not in others]
    return max(peaks), loads


def test_memory_of_a_worker_is_bounded_by_the_part_and_not_by_the_file(tmp_path: Path) -> None:
    small = peaks_and_loads(write_book(tmp_path / "small.pdf", 200, "small"), 200, 1)[0]
    large = peaks_and_loads(write_book(tmp_path / "large.pdf", 3000, "large"), 3000, 1)[0]
    # What remains is the table of the file's objects; 5,000 pages have to stay under 300 MiB.
    assert large - small < 15
    assert large < 150


def test_one_huge_file_keeps_all_workers_busy(tmp_path: Path) -> None:
    path = write_book(tmp_path / "huge.pdf", 2000, "huge")
    loads = peaks_and_loads(path, 2000, 2)[1]
    assert len(loads) == 2
    assert min(loads) > 0.5 * max(loads)


def test_a_huge_file_is_read_under_a_small_limit_in_the_order_of_its_pages(tmp_path: Path) -> None:
    path = write_book(tmp_path / "pdfs" / "huge.pdf", 1500, "huge")
    options = ParseOptions(max_failure_share=0.9, workers=2, memory_limit_mb=128)
    summary = parse_corpus(path.parent, tmp_path / "out", options)
    assert (summary.files_parsed, summary.pages) == (1, 1500)
    pages = pq.read_table(tmp_path / "out" / "blocks.parquet", columns=["page"])["page"]
    assert pages.to_pylist() == sorted(pages.to_pylist())


def test_blocks_are_written_in_row_groups_each_of_one_file(folder: Path, tmp_path: Path) -> None:
    parse_corpus(folder, tmp_path / "out", OPTIONS)
    file = pq.ParquetFile(tmp_path / "out" / "blocks.parquet")
    sources = [
        set(file.read_row_group(number, columns=["source"])["source"].to_pylist())
        for number in range(file.num_row_groups)
    ]
    assert sources == [{"long.pdf"}, {"longer.pdf"}, {"manual.pdf"}, {"short.pdf"}]


def test_a_file_reads_the_same_in_one_process_and_by_parts(tmp_path: Path) -> None:
    folder = tmp_path / "pdfs"
    folder.mkdir()
    path = write_pages(folder / "long.pdf", 230)
    parse_corpus(folder, tmp_path / "out", OPTIONS)
    rows = pq.read_table(tmp_path / "out" / "blocks.parquet").to_pylist()
    blocks = parse_pdf(path).blocks
    assert [(row["page"], row["kind"], row["text"]) for row in rows] == [
        (block.page, block.kind, block.text) for block in blocks
    ]


def test_paths_are_written_beside_each_other(folder: Path, tmp_path: Path) -> None:
    rejects = parse_paths([folder], tmp_path / "md", "markdown", OPTIONS)
    assert [Path(reject.source).name for reject in rejects] == ["bad.pdf"]
    assert (tmp_path / "md" / "manual.md").read_text().startswith("# 1 The Alba pump")
    parse_paths([folder / "short.pdf"], tmp_path / "json", "json", OPTIONS)
    assert '"kind": "paragraph"' in (tmp_path / "json" / "short.json").read_text()
    parse_paths([folder / "short.pdf", folder / "long.pdf"], tmp_path / "rows", "parquet", OPTIONS)
    rows = pq.read_table(tmp_path / "rows" / "documents.parquet").to_pylist()
    assert [row["source"] for row in rows] == ["long.pdf", "short.pdf"]
    with pytest.raises(UsageError, match="both be written"):
        parse_paths([folder, folder / "short.pdf"], tmp_path / "x", "json", OPTIONS)
