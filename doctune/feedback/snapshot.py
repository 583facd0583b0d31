"""The rows that a retraining learns from, frozen in a file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import fields
from datetime import datetime
from pathlib import Path

from doctune.database.engine import Engine
from doctune.database.feedback_rows import FeedbackRow, read_feedback
from doctune.digests import digest_file
from doctune.errors import DatasetError
from doctune.feedback.exports import export_feedback
from doctune.files import atomic_path, text_lines

_NAMES = tuple(field.name for field in fields(FeedbackRow))
_MOMENTS = ("created_at", "predicted_at", "reviewed_at")


def write_snapshot(engine: Engine, path: Path) -> str:
    """Writes all feedback, each person's last version; returns the file's digest."""
    export_feedback(read_feedback(engine), path, "jsonl")
    return digest_file(path)


def copy_snapshot(source: Path, target: Path, digest: str) -> int:
    """Copies a snapshot, checked; returns how many rows it has.

    Raises:
        DatasetError: It is not the snapshot that was taken, or it is missing.
    """
    if not source.is_file():
        raise DatasetError(f"{source} is missing: start the retraining by doctune retrain trigger.")
    if (found := digest_file(source)) != digest:
        raise DatasetError(f"{source} has changed since it was taken ({found[:12]}): take another.")
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)
    return sum(1 for _ in text_lines(target))


def read_snapshot(path: Path) -> Iterator[FeedbackRow]:
    """Yields the rows of a snapshot.

    Raises:
        DatasetError: A line is none of a snapshot.
    """
    for number, line in text_lines(path):
        try:
            row = json.loads(line)
            values = {name: row[name] for name in _NAMES}
            for name in _MOMENTS:
                values[name] = datetime.fromisoformat(values[name]) if values[name] else None
            yield FeedbackRow(**values)
        except (ValueError, KeyError, TypeError) as error:
            raise DatasetError(f"{path}, line {number} is no row of feedback: {error}.") from error
