"""The parts of files that are not whole yet.

A file of several parts is not kept in memory while it is read: its parts wait in a folder, as the
workers gave them. A run that was killed finds them there and reads only what is missing.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from doctune.files import write_text

Span = tuple[int, int]


class WaitingParts:
    """What workers answered for ranges of pages, a folder for each file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, key: str, span: Span, answer: dict[str, Any]) -> None:
        """Keeps a part.

        Args:
            key: Names the file, its content and what its reading depends on; fit for a file's name.
            span: The part's first page, from 0, and the one after its last.
        """
        name = f"{span[0]}-{span[1]}.json"
        write_text(self._folder / key / name, json.dumps(answer, separators=(",", ":")))

    def spans(self, key: str) -> list[Span]:
        """Returns the parts of a file that are there, in the order of its pages."""
        names = (path.stem.partition("-") for path in (self._folder / key).glob("[0-9]*-*.json"))
        return sorted((int(first), int(stop)) for first, _, stop in names)

    def take(self, key: str) -> Iterator[dict[str, Any]]:
        """Yields the parts of a file in the order of its pages; forgets them in the end.

        Raises:
            ValueError: One of them was damaged.
        """
        try:
            for first, stop in self.spans(key):
                yield json.loads((self._folder / key / f"{first}-{stop}.json").read_bytes())
        finally:
            self.drop(key)

    def drop(self, key: str) -> None:
        """Forgets the parts of a file."""
        shutil.rmtree(self._folder / key, ignore_errors=True)

    def remove(self) -> None:
        """Forgets all parts: the run is over."""
        shutil.rmtree(self._folder, ignore_errors=True)
