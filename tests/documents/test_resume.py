"""A run that was killed goes on where it stopped."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq

from doctune.documents import ParseOptions, parse_corpus
from tests.documents.rawpdf import write_book

# Many files here are bad on purpose.
OPTIONS = ParseOptions(workers=1, max_failure_share=0.9)
RUN = """
import sys
from pathlib import Path
from doctune.documents import ParseOptions, parse_corpus
parse_corpus(Path(sys.argv[1]), Path(sys.argv[2]), ParseOptions(workers=1, max_failure_share=0.9))
"""


def kill_when(folder: Path, out: Path, ready: Callable[[], bool]) -> None:
    """Runs `parse_corpus` in a process of its own and kills it as soon as that holds."""
    process = subprocess.Popen([sys.executable, "-c", RUN, str(folder), str(out)])
    deadline = time.monotonic() + 60
    while not ready():
        assert process.poll() is None, "the run was over before it could be killed"
        assert time.monotonic() < deadline, "waited 60 s for the run to come so far"
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=60)


def documents(out: Path) -> dict[str, dict[str, object]]:
    rows = pq.read_table(out / "documents.parquet").to_pylist()
    return {str(row["source"]): row for row in rows}


def test_finished_files_are_not_read_again(tmp_path: Path) -> None:
    folder, out = tmp_path / "pdfs", tmp_path / "out"
    broken = [b"%PDF-1.7 broken, and nothing more", b"no PDF at all"]
    for number, content in enumerate(broken):
        (folder / f"broken {number}.pdf").parent.mkdir(parents=True, exist_ok=True)
        (folder / f"broken {number}.pdf").write_bytes(content)
    for number in range(24):
        write_book(folder / f"{number}.pdf", 90, f"book {number}")

    def finished() -> list[Path]:
        return list((out / ".finished").glob("[0-9a-f]*.parquet"))

    kill_when(folder, out, lambda: len(finished()) >= 2)
    assert not (out / "blocks.parquet").exists()
    kept = [json.loads(pq.read_schema(path).metadata[b"doctune"]) for path in finished()]
    assert 2 <= len(kept) < 24
    rejected = list((out / ".finished").glob("[0-9a-f]*.json"))
    assert len(rejected) == 2
    rejected[0].write_text('{"reason": "timeout", "message": "as the first run had it"}')
    summary = parse_corpus(folder, out, OPTIONS)
    assert (summary.files_parsed, summary.pages) == (24, 24 * 90)
    assert "as the first run had it" in {reject.reason for reject in summary.rejects}
    rows = documents(out)
    # No two readings take the same time to the last digit: these are the first run's.
    assert all(rows[row["source"]]["seconds"] == row["seconds"] for row in kept)
    assert sorted(path.name for path in out.iterdir()) == ["blocks.parquet", "documents.parquet"]


def test_the_finished_parts_of_a_huge_file_are_not_read_again(tmp_path: Path) -> None:
    folder, out = tmp_path / "pdfs", tmp_path / "out"
    write_book(folder / "huge.pdf", 2000, "huge")

    def parts() -> list[Path]:
        return list((out / ".finished" / "parts").glob("*/[0-9]*.json"))

    kill_when(folder, out, lambda: len(parts()) >= 3)
    kept = len(parts())
    assert 3 <= kept < 20
    for path in parts():
        path.write_text(path.read_text().replace("runs", "was read before"))
    summary = parse_corpus(folder, out, OPTIONS)
    assert summary.pages == 2000
    blocks = pq.read_table(out / "blocks.parquet").to_pylist()
    before = {block["page"] for block in blocks if "was read before" in block["text"]}
    assert before == set(range(1, 100 * kept + 1))
    assert [block["page"] for block in blocks] == sorted(block["page"] for block in blocks)
    assert not (out / ".finished").exists()


def test_parts_of_a_file_that_has_changed_are_read_anew(tmp_path: Path) -> None:
    folder, out = tmp_path / "pdfs", tmp_path / "out"
    write_book(folder / "huge.pdf", 2000, "huge")

    def parts() -> list[Path]:
        return list((out / ".finished" / "parts").glob("*/[0-9]*.json"))

    kill_when(folder, out, lambda: bool(parts()))
    write_book(folder / "huge.pdf", 300, "changed")
    summary = parse_corpus(folder, out, OPTIONS)
    assert summary.pages == 300
    texts = pq.read_table(out / "blocks.parquet")["text"].to_pylist()
    assert all("changed" in text for text in texts)


def test_a_damaged_part_costs_the_file_and_not_the_run(tmp_path: Path) -> None:
    folder, out = tmp_path / "pdfs", tmp_path / "out"
    write_book(folder / "huge.pdf", 2000, "huge")
    write_book(folder / "small.pdf", 2, "small")

    def parts() -> list[Path]:
        return list((out / ".finished" / "parts").glob("*/[0-9]*.json"))

    kill_when(folder, out, lambda: bool(parts()))
    parts()[0].write_text('{"pages": [[1]]}')
    summary = parse_corpus(folder, out, OPTIONS)
    assert [reject.source for reject in summary.rejects] == ["huge.pdf"]
    assert summary.files_parsed == 1
