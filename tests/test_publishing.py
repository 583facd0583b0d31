"""Folders that others read are whole or refused, on file systems that rename no folder too."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from doctune.errors import StorageError
from doctune.publishing import MANIFEST_FILE, publish, published_folder, require_whole
from tests.flat_bucket import flat_bucket
from tests.waiting import next_line


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCTUNE_CACHE", str(tmp_path / "cache"))


def _fill(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / name.replace("_", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _read(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST_FILE
    }


def test_the_imitation_refuses_what_fuse_refuses(tmp_path: Path) -> None:
    with flat_bucket(tmp_path):
        _fill(tmp_path / "full", a="1")
        (tmp_path / "empty").mkdir()
        with pytest.raises(OSError, match="rename of a folder"):
            (tmp_path / "full").rename(tmp_path / "other")
        with pytest.raises(OSError, match="rename of a folder"):
            os.replace(tmp_path / "full", tmp_path / "other")  # noqa: PTH105
        (tmp_path / "empty").rename(tmp_path / "other")
        (tmp_path / "full/a").rename(tmp_path / "full/b")


def test_a_folder_is_published_and_replaced_on_a_flat_bucket(tmp_path: Path) -> None:
    place = tmp_path / "gcs/bucket/model"
    with flat_bucket(tmp_path):
        with published_folder(place) as folder:
            _fill(folder, a="1", deep_er_b="2", deep_c="3")
        require_whole(place, "again")
        with published_folder(place) as folder:
            _fill(folder, a="4", d="5")
    require_whole(place, "again")
    assert _read(place) == {"a": "4", "d": "5"}
    assert not (place / "deep").exists()
    assert list((tmp_path / "cache/scratch").iterdir()) == []


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    place = tmp_path / "model"
    with published_folder(place) as folder:
        _fill(folder, a="1")

    def fail() -> None:
        with published_folder(place) as folder:
            _fill(folder, a="2")
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()

    require_whole(place, "again")
    assert _read(place) == {"a": "1"}


@pytest.mark.parametrize("replaced", [False, True])
def test_a_copy_that_was_cut_off_is_refused(
    replaced: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, place = tmp_path / "source", tmp_path / "model"
    _fill(source, a="1", b="2", c="3")
    if replaced:
        publish(source, place)
    from doctune import publishing

    copy = publishing._copy

    def failing(source: Path, name: str, target: Path) -> publishing.PublishedFile:
        if name == "b":
            raise OSError("the disk is full")
        return copy(source, name, target)

    monkeypatch.setattr(publishing, "_copy", failing)
    with pytest.raises(OSError, match="full"):
        publish(source, place)

    with pytest.raises(StorageError, match=r"no manifest\.json.*train it again"):
        require_whole(place, "train it again")


def test_a_process_killed_at_any_moment_leaves_what_is_whole_or_refused(tmp_path: Path) -> None:
    """Kills a process that publishes two versions in turn, and looks at what is left each time."""
    program = (
        "import sys; from pathlib import Path; from doctune.publishing import published_folder\n"
        "place = Path(sys.argv[1]); print('ready', flush=True)\n"
        "for number in range(10**6):\n"
        "    with published_folder(place) as folder:\n"
        "        for name in range(20):\n"
        "            (folder / f'{name}').write_text(str(number) * 5000)\n"
    )
    outcomes = set()
    for turn in range(12):
        place = tmp_path / f"model-{turn}"
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(place)], stdout=subprocess.PIPE, text=True
        )
        next_line(process.stdout, "the program to start")
        time.sleep(0.05 + 0.013 * turn)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=30)
        try:
            require_whole(place, "again")
        except StorageError:
            outcomes.add("refused")
            continue
        outcomes.add("whole")
        assert len(set(_read(place).values())) == 1
        assert len(_read(place)) == 20
    assert outcomes


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "a").unlink(), "a is missing"),
        (lambda folder: (folder / "a").write_text("12"), "differs from its entry"),
        (lambda folder: (folder / MANIFEST_FILE).write_text("{}"), "lists no files"),
        (lambda folder: (folder / MANIFEST_FILE).write_text("["), "lists no files"),
        (
            lambda folder: (folder / MANIFEST_FILE).write_text(
                '{"files": [{"name": "../source/a", "size": 1}]}'
            ),
            "is missing",
        ),
    ],
)
def test_a_damaged_folder_is_refused_in_one_line(damage, message: str, tmp_path: Path) -> None:
    _fill(tmp_path / "source", a="1", b="2")
    publish(tmp_path / "source", tmp_path / "model")
    damage(tmp_path / "model")

    with pytest.raises(StorageError, match=message) as caught:
        require_whole(tmp_path / "model", "train it again")

    assert "\n" not in str(caught.value)
