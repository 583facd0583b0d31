"""Storage for the parts of files that are not complete yet.

The parts of a large file are not kept in memory: they are stored in a folder, as the workers return
them. An interrupted run finds them there and parses only the missing ones.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from doctune.files import write_text

Span = tuple[int, int]


class WaitingParts:
    """The stored results of page ranges, with one folder per file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, key: str, span: Span, answer: dict[str, Any]) -> None:
        """Stores a part.

        Args:
            key: Identifies the file, its content and the settings; must be a valid file name.
            span: Index of the part's first page, and of the one after its last.
        """
        name = f"{span[0]}-{span[1]}.json"
        write_text(self._folder / key / name, json.dumps(answer, separators=(",", ":")))

    def spans(self, key: str) -> list[Span]:
        """Returns the stored parts of a file, in page order."""
        names = (path.stem.partition("-") for path in (self._folder / key).glob("[0-9]*-*.json"))
        return sorted((int(first), int(stop)) for first, _, stop in names)

    def take(self, key: str) -> Iterator[dict[str, Any]]:
        """Yields the parts of a file in page order, then deletes them.

        Raises:
            ValueError: One of them was damaged.
        """
        try:
            for first, stop in self.spans(key):
                yield json.loads((self._folder / key / f"{first}-{stop}.json").read_bytes())
        finally:
            self.drop(key)

    def drop(self, key: str) -> None:
        """Deletes the parts of a file."""
        shutil.rmtree(self._folder / key, ignore_errors=True)

    def remove(self) -> None:
        """Deletes all parts, at the end of the run."""
        shutil.rmtree(self._folder, ignore_errors=True)
