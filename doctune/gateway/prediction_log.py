"""The log of predictions, written in batches by a background thread.

`kill -9` can lose the rows of the last `FLUSH_SECONDS`. While the database is unavailable, rows
wait in memory, up to `MOST_ROWS`; on SIGTERM those that cannot be written go to a file, which the
next start reads. Of several gateways with one folder, one takes the file over, under a name of its
own: what another adds in the meantime is in a new file. A row that is written twice is kept once.
"""

from __future__ import annotations

import json
import logging
import secrets
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
        self._batch: list[Row] = []  # being written
        self._from_spill = 0  # of the rows at the front: those that files hold still
        self._taken: list[Path] = []  # these files
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
                if self._from_spill > len(self._batch):
                    self._from_spill -= 1
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
            # A database that hangs has a batch, which it may or may not write yet.
            left = [*self._batch, *self._rows][self._from_spill :]
            self._rows.clear()
        if left and self._spill is not None:
            self._spill.parent.mkdir(parents=True, exist_ok=True)
            self._spill.touch(mode=0o600)
            with self._spill.open("a", encoding="utf-8") as file:
                for row in left:
                    file.write(json.dumps(row, default=_moment) + "\n")
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
                count = min(BATCH_ROWS, len(self._rows))
                self._batch = batch = [self._rows.popleft() for _ in range(count)]
            if not self._guarded(lambda: self._write(batch)):  # noqa: B023 - called at once
                with self._changed:
                    self._rows.extendleft(reversed(batch))
                    self._batch = []
                return False
            self._forget_batch()
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
        except Exception:
            # The thread goes on: without it all later rows would be lost, and nobody told.
            if not self._failing:
                logger.exception("The predictions cannot be written")
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
        if self._spill is None:
            return
        for path in spill_files(self._spill):
            taken = path
            if path == self._spill:
                taken = path.with_stem(f"{path.stem}-{secrets.token_hex(4)}")
                try:
                    path.rename(taken)
                except FileNotFoundError:  # another gateway was quicker
                    continue
            self._taken.append(taken)
            for row in _spilled(taken):
                self.add(row | {"created_at": datetime.fromisoformat(row["created_at"])})
                self._from_spill += 1

    def _forget_batch(self) -> None:
        """Deletes the files once their rows are in the database, so that an erasure is complete."""
        with self._changed:
            of_files = min(self._from_spill, len(self._batch))
            self._from_spill -= of_files
            self._batch = []
            if of_files and not self._from_spill:
                for path in self._taken:
                    path.unlink(missing_ok=True)


def spill_files(spill: Path) -> list[Path]:
    """Returns the files of rows that wait for a start: `spill`, and what gateways took over."""
    return sorted(spill.parent.glob(f"{spill.stem}*{spill.suffix}"))


def erase_spilled(spill: Path, end_user: str) -> int:
    """Erases a person's predictions from the files that wait for the next start.

    Args:
        end_user: As it is kept, which may be a hash.

    Returns:
        How many there were.
    """
    erased = 0
    for path in spill_files(spill):
        rows = list(_spilled(path))
        others = [row for row in rows if row["end_user"] != end_user]
        if len(others) < len(rows):
            write_text(path, "".join(f"{json.dumps(row)}\n" for row in others))
            path.chmod(0o600)
        erased += len(rows) - len(others)
    return erased


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
