"""Local copies of what URIs name."""

import subprocess
import sys
import time
from pathlib import Path

import fsspec
import pytest

from doctune import files
from doctune.artifacts import local_file
from doctune.errors import StorageError
from doctune.files import exclusively
from tests.waiting import next_line


@pytest.fixture(autouse=True)
def _cache_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCTUNE_CACHE", str(tmp_path / "cache"))


def test_a_file_here_is_used_where_it_lies(tmp_path: Path) -> None:
    path = tmp_path / "test.jsonl"
    path.write_text("{}\n")
    assert local_file(str(path)) == local_file(path.as_uri()) == path


def test_a_file_elsewhere_is_fetched_once_and_again_when_it_has_changed() -> None:
    storage = fsspec.filesystem("memory")
    storage.pipe("/bucket/test.jsonl", b"one\n")
    first = local_file("memory://bucket/test.jsonl")
    fetched = first.stat().st_mtime_ns
    assert first.read_text() == "one\n"
    assert local_file("memory://bucket/test.jsonl").stat().st_mtime_ns == fetched
    storage.pipe("/bucket/test.jsonl", b"another\n")
    assert local_file("memory://bucket/test.jsonl").read_text() == "another\n"


@pytest.mark.parametrize("uri", ["nowhere/test.jsonl", "memory://bucket/nowhere.jsonl"])
def test_what_is_not_there_is_one_plain_line(uri: str) -> None:
    with pytest.raises(StorageError) as raised:
        local_file(uri)
    assert "nowhere" in str(raised.value)
    assert "\n" not in str(raised.value)


FETCH = """
import sys, time
import subprocess
import sys
import time
from pathlib import Path
from doctune import artifacts, files

real = artifacts._download

def slowly(uri, target):
    print("downloading", flush=True)
    time.sleep(1)
    real(uri, target)

artifacts._download = slowly
folder = artifacts.local_folder(sys.argv[1])
inode = folder.stat().st_ino
time.sleep(1.5)
# What this process reads is still there, and still the same.
print((folder / "weights").read_text(), folder.stat().st_ino == inode)
"""


def test_two_processes_that_need_a_folder_fetch_it_once_and_replace_nothing(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "weights").write_text("whole")
    # A file system that fsspec knows and that two processes share.
    uri = f"local://{source}"
    processes = []
    for _ in range(3):
        processes.append(
            subprocess.Popen([sys.executable, "-c", FETCH, uri], stdout=subprocess.PIPE, text=True)
        )
        time.sleep(0.3)
    said = [process.communicate(timeout=60)[0].splitlines() for process in processes]
    assert [lines[-1] for lines in said] == ["whole True"] * 3
    assert sum("downloading" in lines for lines in said) == 1


def test_a_process_that_dies_while_it_fetches_keeps_nobody_waiting(tmp_path: Path) -> None:
    target = tmp_path / "made"
    hold = (
        "import sys, time; from pathlib import Path; from doctune.files import exclusively\n"
        "with exclusively(Path(sys.argv[1]), 'holding'):\n"
        "    print('held', flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", hold, str(target)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert next_line(process.stdout, "the lock to be taken") == "held\n"
        process.kill()
    start = time.monotonic()
    with exclusively(target, "trying"):
        assert time.monotonic() - start < 5


def test_who_waits_for_too_long_is_told_for_what(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(files, "_LONGEST_WAIT_SECONDS", 0.2)
    with (
        exclusively(tmp_path / "made", "downloading it"),
        pytest.raises(StorageError, match="another process has been downloading it for"),
        exclusively(tmp_path / "made", "downloading it"),
    ):
        pass
