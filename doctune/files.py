"""Atomic writes: files are written beside their destination, then renamed into place."""

import fcntl
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from doctune.errors import StorageError

_LONGEST_WAIT_SECONDS = 4 * 3600.0
_SILENT_SECONDS = 2.0
_PAUSE_SECONDS = 0.1

logger = logging.getLogger("doctune.files")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; renames the file to `path` on success."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path, *, replace: bool = True) -> Iterator[Path]:
    """Yields a temporary folder beside `path`; renames it to `path` on success.

    The file system must support renaming folders: this is for caches on disk. For folders in a
    bucket use `doctune.publishing`.

    Args:
        replace: Whether to replace an existing folder. False for folders that other processes may
            have made in the meantime and are reading.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield temporary
        temporary.chmod(0o755)
        if not replace:
            _move_unless_there(temporary, path)
        elif path.exists():
            # Move the old folder away, since a rename cannot replace a non-empty folder.
            aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.old.", dir=path.parent))
            path.replace(aside / path.name)
            temporary.replace(path)
            shutil.rmtree(aside, ignore_errors=True)
        else:
            temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _move_unless_there(source: Path, target: Path) -> None:
    try:
        source.replace(target)
    except OSError:
        if not target.is_dir():
            raise


@contextmanager
def exclusively(path: Path, doing: str) -> Iterator[None]:
    """Locks `path`, so that only one process or thread at a time creates it; others wait.

    Args:
        path: The path to be created; the lock is a file beside it, which is not removed.
        doing: The work, for the log of waiting processes: "downloading gs://...".

    Raises:
        StorageError: Another process has held the lock for hours.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    start, said = time.monotonic(), False
    with path.with_name(f".{path.name}.lock").open("w") as file:
        while True:
            try:
                # Each thread opens the file itself, so the lock also excludes threads.
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                waited = time.monotonic() - start
            if waited > _LONGEST_WAIT_SECONDS:
                raise StorageError(
                    f"another process has been {doing} for {waited:.0f} s: end it, then run this "
                    "again."
                )
            if waited > _SILENT_SECONDS and not said:
                logger.info("Waiting for another process that is %s", doing)
                said = True
            time.sleep(_PAUSE_SECONDS)
        yield


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yields number (from 1) and text of each non-blank line of a UTF-8 file.

    Only line feeds end a line. `str.splitlines` also splits at U+2028, U+0085 and others, which may
    be in JSON strings, so it would break rows of JSON Lines.

    Raises:
        OSError: The file is missing or cannot be read.
        UnicodeDecodeError: It is not UTF-8.
    """
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, line.rstrip("\n")


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Writes an indented JSON file atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")
