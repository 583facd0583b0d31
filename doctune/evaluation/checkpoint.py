"""Checkpoints of evaluations, so that an interrupted one resumes.

There is one JSONL file per model in the cache folder (`DOCTUNE_CACHE`), named by the digest of
everything that the results depend on. Each result is written at once; an incomplete last line is
dropped. A complete evaluation removes the tuned model's file, and keeps the latest `KEPT` of the
others, so that the next evaluation with the same base and test set reuses them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from doctune.artifacts import cache_folder
from doctune.digests import digest_value

KEPT = 16

# Part of the key: raise it when the meaning of the lines changes.
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
        """Returns a stored result, or None."""
        return self._found.get((kind, position))

    def add(self, kind: str, position: int, result: Mapping[str, Any]) -> None:
        """Stores a result; from then on it survives a kill of the process."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._found[kind, position] = dict(result)
        line = json.dumps({"kind": kind, "position": position, "result": dict(result)}) + "\n"
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)

    def remove(self) -> None:
        """Removes the file, when the evaluation is complete."""
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
