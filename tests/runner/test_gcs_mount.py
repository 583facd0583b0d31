"""/gcs in every program: the buckets, by a mount of the program's own, or a loud refusal."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from doctune.runner import gcs_mount


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    (tmp_path / "storage/bucket/folder").mkdir(parents=True)
    (tmp_path / "storage/bucket/folder/note.txt").write_text("hello")
    return tmp_path / "storage"


def run(
    storage: Path, *command: str, renames: bool = False, mounts: bool = True
) -> subprocess.CompletedProcess[str]:
    beginning = gcs_mount.mounting(storage, refuse_folder_renames=renames)
    if not mounts:  # as where the kernel refuses
        script = (
            "import sys; from doctune.runner import gcs_mount\n"
            "def refuse(storage): raise OSError(1, 'unshare: not permitted here')\n"
            "gcs_mount.mount_buckets = refuse\n"
            "sys.exit(gcs_mount.main(sys.argv[1:]))"
        )
        beginning = [sys.executable, "-c", script, *beginning[3:]]
    return subprocess.run(
        [*beginning, *command], capture_output=True, text=True, timeout=60, check=False
    )


def test_any_program_reads_and_writes_a_bucket_under_gcs(storage: Path) -> None:
    line = "cat /gcs/bucket/folder/note.txt && mkdir /gcs/bucket/new && echo hi > /gcs/bucket/new/a"

    done = run(storage, "sh", "-c", line)

    assert (done.returncode, done.stdout) == (0, "hello")
    assert (storage / "bucket/new/a").read_text() == "hi\n"
    assert not Path("/gcs").exists()


def test_programs_that_a_program_starts_have_the_buckets_too(storage: Path) -> None:
    inner = gcs_mount.mounting(storage, refuse_folder_renames=False)

    done = run(storage, *inner, "sh", "-c", "cat /gcs/bucket/folder/note.txt; pwd")

    assert done.stdout == f"hello{Path.cwd()}\n"


def test_a_folder_that_is_no_bucket_cannot_be_made_under_gcs(storage: Path) -> None:
    done = run(storage, "mkdir", "-p", "/gcs/misspelt/model")

    assert done.returncode != 0
    assert "Read-only file system" in done.stderr
    assert not (storage / "misspelt").exists()


def test_the_exit_code_and_the_process_are_the_programs_own(storage: Path) -> None:
    assert run(storage, "sh", "-c", "exit 7").returncode == 7
    missing = run(storage, "no-such-program")
    assert missing.returncode == gcs_mount.NOT_FOUND_CODE
    assert "no-such-program cannot be started: No such file or directory" in missing.stderr


@pytest.mark.parametrize(
    "touch",
    ["open('/gcs/bucket/a', 'w')", "os.makedirs('/gcs/bucket/a')", "os.listdir('/gcs/bucket')"],
)
def test_without_a_mount_the_first_touch_raises_and_says_what_is_missing(
    storage: Path, touch: str
) -> None:
    done = run(storage, sys.executable, "-c", f"import os; {touch}", mounts=False)

    assert done.returncode == 1
    assert "localvertex cannot mount the buckets under /gcs" in done.stderr
    assert "unshare: not permitted here" in done.stderr
    assert not Path("/gcs").exists()


def test_without_a_mount_other_programs_run(storage: Path) -> None:
    done = run(storage, sys.executable, "-c", "print('fine')", mounts=False)

    assert (done.returncode, done.stdout) == (0, "fine\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder /gcs")
def test_without_a_mount_a_program_that_makes_a_gcs_of_its_own_has_failed(storage: Path) -> None:
    try:
        done = run(storage, "mkdir", "/gcs", mounts=False)
    finally:
        Path("/gcs").rmdir()

    assert done.returncode == 1
    assert "the program made a folder /gcs on this machine, which is no bucket" in done.stderr


_RENAME = "import os; os.rename('/gcs/bucket/folder', '/gcs/bucket/other')"


def test_renames_of_folders_that_are_not_empty_are_refused_where_asked_for(storage: Path) -> None:
    refused = run(storage, sys.executable, "-c", _RENAME, renames=True)

    assert refused.returncode == 1
    assert "Cloud Storage FUSE renames no folder that is not empty" in refused.stderr
    assert (storage / "bucket/folder/note.txt").is_file()


def test_renames_of_files_empty_folders_and_outside_of_gcs_go_through(
    storage: Path, tmp_path: Path
) -> None:
    (storage / "bucket/empty").mkdir()
    (tmp_path / "outside/full").mkdir(parents=True)
    (tmp_path / "outside/full/a").touch()
    script = (
        "import os; os.rename('/gcs/bucket/folder/note.txt', '/gcs/bucket/note.txt')\n"
        "os.rename('/gcs/bucket/empty', '/gcs/bucket/renamed')\n"
        f"os.rename({str(tmp_path / 'outside/full')!r}, {str(tmp_path / 'outside/moved')!r})"
    )

    done = run(storage, sys.executable, "-c", script, renames=True)

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "outside/moved/a").exists()


def test_folders_are_renamed_where_nothing_is_said(storage: Path) -> None:
    assert run(storage, sys.executable, "-c", _RENAME).returncode == 0
    assert (storage / "bucket/other/note.txt").read_text() == "hello"


def test_folders_among_the_outputs_of_a_local_run_are_not_renamed_either(
    storage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = tmp_path / "outputs"
    for folder in (outputs / "index", outputs / ".cache/overlay"):
        folder.mkdir(parents=True)
        (folder / "a").touch()
    monkeypatch.setenv(gcs_mount.FLAT_FOLDER_VARIABLE, str(outputs))
    rename = "import os, sys; os.rename(sys.argv[1], sys.argv[1] + '2')"

    refused = run(storage, sys.executable, "-c", rename, str(outputs / "index"), renames=True)
    cached = run(
        storage, sys.executable, "-c", rename, str(outputs / ".cache/overlay"), renames=True
    )

    assert "Cloud Storage FUSE renames no folder that is not empty" in refused.stderr
    assert cached.returncode == 0, cached.stderr
