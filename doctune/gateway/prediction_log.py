"""The log of predictions, written in batches by a background thread.

`kill -9` can lose the rows of the last `FLUSH_SECONDS`. While the database is unavailable, rows
wait in memory, up to `MOST_ROWS`; on SIGTERM those that cannot be written go to a file, which the
next start reads.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from doctune.database.engine import DatabaseError, Engine
from doctune.database.partitions import make_partitions
from doctune.database.predictions import delete_predictions, write_predictions
from doctune.files import text_lines, write_text

SPILL_FILE = "predictions.jsonl"
FLUSH_SECONDS = 0.25
MOST_ROWS = 50_000
BATCH_ROWS = 500

_HOUSEKEEPING_SECONDS = 3600.0
_RETRY_SECONDS = 1.0

Row = dict[str, Any]  # by the columns of the table

logger = logging.getLogger("doctune.gateway")


class PredictionLog:
    """Buffers rows and writes them to the database."""

    def __init__(
        self, engine: Engine, spill: Path | None = None, retention_days: int | None = None
    ) -> None:
        """Starts the thread.

        Args:
            spill: File for what cannot be written at the end.
            retention_days: Older rows are deleted, within the hour.
        """
        self.dropped = 0
        self._engine, self._spill, self._retention_days = engine, spill, retention_days
        self._rows: deque[Row] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._failing = False
        self._written = threading.Condition()
        self._pending = 0  # rows taken and not yet written
        self._from_spill = 0  # of the rows at the front: those that the file holds still
        self._read_spill()
        self._thread = threading.Thread(target=self._work, name="prediction-log", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """The number of rows not yet written."""
        return self._pending

    def add(self, row: Row) -> None:
        """Adds a row; never blocks. If too many wait, the oldest is dropped and counted."""
        with self._changed:
            if len(self._rows) >= MOST_ROWS:
                self._rows.popleft()
                self._pending -= 1
                self._from_spill = max(0, self._from_spill - 1)
                self.dropped += 1
            self._rows.append(row)
            self._pending += 1

    def flush(self, seconds: float) -> bool:
        """Waits until all that was added is written; returns whether it is."""
        with self._changed:
            self._changed.notify_all()
        with self._written:
            return self._written.wait_for(lambda: not self._pending, seconds)

    def close(self, seconds: float) -> None:
        """Writes the waiting rows, to the file if the database does not take them, and stops."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(seconds)
        with self._changed:
            left = list(self._rows)[self._from_spill :]
            self._rows.clear()
        if left and self._spill is not None:
            self._spill.parent.mkdir(parents=True, exist_ok=True)
            with self._spill.open("a", encoding="utf-8") as file:
                for row in left:
                    file.write(json.dumps(row, default=_moment) + "\n")
            self._spill.chmod(0o600)
            logger.warning("%d predictions wait in %s for the next start", len(left), self._spill)

    def _work(self) -> None:
        housekeeping_at = 0.0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing, FLUSH_SECONDS)
                closing = self._closing
            if time.monotonic() >= housekeeping_at and not closing:
                housekeeping_at = time.monotonic() + _HOUSEKEEPING_SECONDS
                self._guarded(self._keep_house)
            written = self._write_all()
            if closing:
                return
            if not written:
                time.sleep(_RETRY_SECONDS)

    def _write_all(self) -> bool:
        while self._rows:
            with self._changed:
                batch = [self._rows.popleft() for _ in range(min(BATCH_ROWS, len(self._rows)))]
            if not self._guarded(lambda: self._write(batch)):  # noqa: B023 - called at once
                with self._changed:
                    self._rows.extendleft(reversed(batch))
                return False
            self._forget_spill(len(batch))
            with self._written:
                self._pending -= len(batch)
                self._written.notify_all()
        return True

    def _write(self, batch: list[Row]) -> None:
        self.dropped += write_predictions(self._engine, batch)

    def _guarded(self, work: Callable[[], object]) -> bool:
        try:
            work()
        except DatabaseError as error:
            if not self._failing:
                logger.warning("The database takes no predictions: %s", type(error).__name__)
            self._failing = True
            return False
        if self._failing:
            logger.info("The database takes predictions again")
        self._failing = False
        return True

    def _keep_house(self) -> None:
        now = datetime.now(UTC)
        make_partitions(self._engine, now.date())
        if self._retention_days is not None:
            delete_predictions(self._engine, now - timedelta(days=self._retention_days))

    def _read_spill(self) -> None:
        if self._spill is None or not self._spill.is_file():
            return
        for row in _spilled(self._spill):
            self.add(row | {"created_at": datetime.fromisoformat(row["created_at"])})
            self._from_spill += 1

    def _forget_spill(self, written: int) -> None:
        """Deletes the file once its rows are in the database, so that an erasure is complete."""
        if self._spill is None or not self._from_spill:
            return
        with self._changed:
            self._from_spill = max(0, self._from_spill - written)
            if not self._from_spill:
                self._spill.unlink(missing_ok=True)


def erase_spilled(spill: Path, end_user: str) -> int:
    """Erases a person's predictions from the file that waits for the next start.

    Args:
        end_user: As it is kept, which may be a hash.

    Returns:
        How many there were.
    """
    if not spill.is_file():
        return 0
    rows = list(_spilled(spill))
    others = [row for row in rows if row["end_user"] != end_user]
    if len(others) < len(rows):
        write_text(spill, "".join(f"{json.dumps(row)}\n" for row in others))
        spill.chmod(0o600)
    return len(rows) - len(others)


def _spilled(spill: Path) -> Iterator[Row]:
    for number, line in text_lines(spill):
        try:
            yield json.loads(line)
        except ValueError:
            # A process that was killed while it wrote: the rest of the file is whole.
            logger.warning("%s, line %d is cut off: it is left out", spill, number)


def _moment(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is not kept")
