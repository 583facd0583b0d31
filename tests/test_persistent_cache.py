"""Caches that outlive a container, in a folder that stands for a mounted bucket."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from doctune import vertex_environment
from doctune.persistent_cache import mirrored_cache, persistent_cache_folder

URI = "gs://bucket/cache"


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bucket that is mounted, and a container whose own cache is empty."""
    monkeypatch.setattr(vertex_environment, "_MOUNT", tmp_path / "gcs")
    monkeypatch.setenv("DOCTUNE_CACHE", str(tmp_path / "container-1"))
    (tmp_path / "gcs" / "bucket").mkdir(parents=True)
    return tmp_path / "gcs" / "bucket"


def in_another_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCTUNE_CACHE", str(tmp_path / "container-2"))


def test_a_persistent_cache_is_in_the_bucket_where_it_is_mounted(
    bucket: Path, tmp_path: Path
) -> None:
    assert persistent_cache_folder(URI, "teacher") == bucket / "cache" / "teacher"
    assert (
        persistent_cache_folder("gs://other/cache", "teacher")
        == tmp_path / "container-1" / "teacher"
    )
    assert persistent_cache_folder("", "teacher") == tmp_path / "container-1" / "teacher"


def test_what_a_container_wrote_is_there_for_the_next_one(
    bucket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mirrored_cache(URI, "evaluations") as here:
        here.mkdir(parents=True)
        (here / "one.jsonl").write_text("1\n")
    in_another_container(tmp_path, monkeypatch)
    with mirrored_cache(URI, "evaluations") as here:
        assert (here / "one.jsonl").read_text() == "1\n"
        (here / "one.jsonl").unlink()
        (here / "two.jsonl").write_text("2\n")
    assert [path.name for path in (bucket / "cache/evaluations").iterdir()] == ["two.jsonl"]


def test_a_container_that_is_killed_loses_no_more_than_the_last_moment(
    bucket: Path, tmp_path: Path
) -> None:
    program = (
        "import sys, time; from pathlib import Path\n"
        "from doctune import vertex_environment\n"
        "from doctune.persistent_cache import mirrored_cache\n"
        "vertex_environment._MOUNT = Path(sys.argv[1])\n"
        f"with mirrored_cache({URI!r}, 'evaluations', seconds=0.05) as here:\n"
        "    here.mkdir(parents=True)\n"
        "    with (here / 'one.jsonl').open('a') as file:\n"
        "        while True:\n"
        "            file.write('line\\n'); file.flush(); time.sleep(0.01)\n"
    )
    command = [sys.executable, "-c", program, str(bucket.parent)]
    kept = bucket / "cache" / "evaluations" / "one.jsonl"
    with subprocess.Popen(command, env={**os.environ}) as process:
        deadline = time.monotonic() + 60
        while not (kept.exists() and kept.stat().st_size > 50):
            assert time.monotonic() < deadline, f"{kept} was not written"
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert set(kept.read_text().splitlines()) == {"line"}


def test_a_bucket_that_cannot_be_written_does_not_end_the_work(
    bucket: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (bucket / "cache").write_text("in the way")
    with mirrored_cache(URI, "evaluations") as here:
        here.mkdir(parents=True)
        (here / "one.jsonl").write_text("1\n")
    assert "The cache cannot be kept in" in caplog.text


def test_without_a_bucket_the_cache_of_this_machine_is_used(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("DOCTUNE_CACHE", str(tmp_path))
    with mirrored_cache("", "evaluations") as here:
        assert here == tmp_path / "evaluations"
