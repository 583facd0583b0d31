"""What a killed evaluation had already computed, so that it goes on where it stopped.

One JSONL file a model under the cache folder (`DOCTUNE_CACHE`), named by the digest of everything
that the results depend on. A line is written as soon as its result is there; a line that a kill
has torn is dropped. The evaluation removes the tuned model's file when it is complete, and keeps
those of the others, the latest `KEPT` of all: the next model of that base and test set is spared
their answers.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from doctune.artifacts import cache_folder
from doctune.digests import digest_value

KEPT = 16

# Part of the key: raise it when what the lines mean changes.
_FORMAT = 2


class Checkpoint:
    """Results by (kind, position), in memory and on disk."""

    def __init__(self, key: Mapping[str, Any]) -> None:
        name = digest_value({"format": _FORMAT, **key})
        self.path = cache_folder() / "evaluations" / f"{name}.jsonl"
        self._found: dict[tuple[str, int], dict[str, Any]] = {}
        if self.path.is_file():
            self._read()

    def get(self, kind: str, position: int) -> dict[str, Any] | None:
        """Returns a result that an earlier attempt has left, or None."""
        return self._found.get((kind, position))

    def add(self, kind: str, position: int, result: Mapping[str, Any]) -> None:
        """Keeps a result: after this it survives a kill of the process."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._found[kind, position] = dict(result)
        line = json.dumps({"kind": kind, "position": position, "result": dict(result)}) + "\n"
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)

    def remove(self) -> None:
        """Removes the file: what it held is complete elsewhere."""
        self.path.unlink(missing_ok=True)

    def keep(self) -> None:
        """Leaves the file for later evaluations, and removes the oldest where there are many."""
        if self.path.is_file():
            os.utime(self.path)
        files = sorted(self.path.parent.glob("*.jsonl"), key=lambda path: path.stat().st_mtime)
        for path in files[:-KEPT]:
            path.unlink(missing_ok=True)

    def _read(self) -> None:
        data = self.path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        for line in whole.splitlines():
            row = json.loads(line)
            self._found[row["kind"], row["position"]] = row["result"]
        if len(whole) < len(data):
            os.truncate(self.path, len(whole))
