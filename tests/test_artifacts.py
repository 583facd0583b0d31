"""Local copies of what URIs name."""

from pathlib import Path

import fsspec
import pytest

from doctune.artifacts import local_file
from doctune.errors import StorageError


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
