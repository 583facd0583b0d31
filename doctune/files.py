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
    """Yields a path beside `path` to write a file to; moves it into place if all went well."""
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
    """Yields a folder beside `path` to fill; it takes the place of `path` if all went well.

    The file system must rename folders: this is for caches on disk. What others read from a bucket
    is made by `doctune.publishing`.

    Args:
        replace: Whether a folder that is there gives way. Two processes that make the same thing
            leave what the first one made, which the other may be reading.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield temporary
        temporary.chmod(0o755)
        if not replace:
            _move_unless_there(temporary, path)
        elif path.exists():
            # The old folder is moved away: a rename cannot replace a folder that is not empty.
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
    """Lets one process, or thread, at a time make what will be at `path`; the others wait.

    Args:
        path: What is made; the lock is a file beside it, which stays.
        doing: For the log of those who wait: "downloading gs://...".

    Raises:
        StorageError: Another process has been at it for hours.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    start, said = time.monotonic(), False
    with path.with_name(f".{path.name}.lock").open("w") as file:
        while True:
            try:
                # Opened anew by each thread, so threads exclude one another too.
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
    """Yields number (from 1) and text of each line of a UTF-8 file that is not blank.

    Only line feeds end a line. `str.splitlines` also cuts at U+2028, U+0085 and others, which JSON
    leaves as they are inside of its strings: a row of JSON Lines would fall apart.

    Raises:
        OSError: The file is missing or cannot be read.
        UnicodeDecodeError: It is not UTF-8.
    """
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, line.rstrip("\n")


def write_text(path: Path, text: str) -> None:
    """Writes a text file, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file, indented, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")
