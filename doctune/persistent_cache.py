"""Persistent caches, which outlive a step's container.

A step's local cache (`doctune.artifacts.cache_folder`) is lost with its container. Results that
cost money or time are kept in a folder of Cloud Storage, which Vertex AI mounts under /gcs. Small
files that are written once, such as a teacher's answers, are used there directly. A file that grows
line by line would be uploaded for each line, so it stays local and is copied every half minute.
"""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from doctune import limits
from doctune.artifacts import cache_folder
from doctune.files import atomic_path
from doctune.vertex_environment import mounted_path

_SECONDS = 30.0

logger = logging.getLogger("doctune.cache")


def persistent_cache_folder(uri: str, name: str) -> Path:
    """Returns the folder of a persistent cache: in Cloud Storage, or else in the local cache.

    Args:
        uri: gs://BUCKET/FOLDER of all persistent caches; where it is "" or not mounted, the local
            cache is used.
        name: The name of the cache.
    """
    root = mounted_path(uri) if uri else None
    return (root or cache_folder()) / name


@contextmanager
def mirrored_cache(uri: str, name: str, *, seconds: float = _SECONDS) -> Iterator[Path]:
    """Mirrors a local cache to Cloud Storage while the block runs.

    The mirror is downloaded when the block begins. Files that are removed locally are removed
    there.

    Args:
        uri: As for `persistent_cache_folder`.
        name: The name of the local cache.
        seconds: Interval of copying.
    """
    here, there = cache_folder() / name, persistent_cache_folder(uri, name)
    if here == there:
        yield here
        return
    mirror = _Mirror(here, there)
    mirror.fetch()
    over = threading.Event()

    def keep_up() -> None:
        while not over.wait(seconds):
            mirror.send()

    thread = threading.Thread(target=keep_up, name="persistent-cache", daemon=True)
    thread.start()
    try:
        yield here
    finally:
        over.set()
        # It may be in the midst of sending a large file.
        thread.join(limits.LOCK.seconds)
        mirror.send()


class _Mirror:
    """A local folder and its mirror, compared file by file."""

    def __init__(self, here: Path, there: Path) -> None:
        self._here, self._there = here, there
        # Size and time of the files that are identical in both.
        self._same: dict[str, tuple[int, int]] = {}

    def fetch(self) -> None:
        """Downloads missing files; files that cannot be read will be computed again."""
        try:
            for path in sorted(self._there.glob("*")):
                target = self._here / path.name
                if path.is_file() and not path.name.startswith(".") and not target.exists():
                    self._copy(path, target)
                    self._same[path.name] = _state(target)
        except OSError as error:
            logger.warning("The cache in %s cannot be read: %s", self._there, error)

    def send(self) -> None:
        """Uploads changed files and removes deleted ones; a failure is only logged."""
        try:
            files = {path.name: path for path in self._here.glob("*") if path.is_file()}
            for name, path in files.items():
                state = _state(path)
                if not name.startswith(".") and self._same.get(name) != state:
                    self._copy(path, self._there / name)
                    self._same[name] = state
            for name in [name for name in self._same if name not in files]:
                (self._there / name).unlink(missing_ok=True)
                del self._same[name]
        except OSError as error:
            logger.warning("The cache cannot be kept in %s: %s", self._there, error)

    def _copy(self, source: Path, target: Path) -> None:
        with atomic_path(target) as temporary:
            shutil.copyfile(source, temporary)


def _state(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns
