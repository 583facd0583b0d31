"""Progress of long work: a bar on a terminal, a log line every few seconds elsewhere.

The local runner parses the log line to show a step's progress, so its format is fixed:
`[description] done/total unit, rate unit/s, ETA s | note`.
"""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

LOG_INTERVAL_SECONDS = 2.0

logger = logging.getLogger("doctune.progress")


class Bar(Protocol):
    """A progress bar."""

    def advance(self, amount: float = 1, note: str = "") -> None:
        """Advances the bar; `note` is shown beside it, such as the current loss."""

    def set_total(self, total: float | None) -> None:
        """Sets the total, if it becomes known only later."""


@contextmanager
def progress(description: str, total: float | None = None, unit: str = "") -> Iterator[Bar]:
    """Shows progress while the block runs.

    Args:
        description: The work, in words: "Parsing PDFs".
        total: Number of units; None if it is not known yet.
        unit: The unit's name in the plural: "pages".
    """
    if sys.stderr.isatty():
        with _terminal_bar(description, total, unit) as bar:
            yield bar
    else:
        line = _LogBar(description, total, unit)
        line.log()
        yield line
        line.log_if_changed()


class _LogBar:
    def __init__(self, description: str, total: float | None, unit: str) -> None:
        self._description, self._total, self._unit = description, total, unit
        self._done, self._note = 0.0, ""
        self._start = self._last = time.monotonic()
        self._changed = False

    def advance(self, amount: float = 1, note: str = "") -> None:
        self._done += amount
        self._note = note or self._note
        self._changed = True
        if time.monotonic() - self._last >= LOG_INTERVAL_SECONDS:
            self.log()

    def set_total(self, total: float | None) -> None:
        self._total = total

    def log_if_changed(self) -> None:
        if self._changed:
            self.log()

    def log(self) -> None:
        self._last = time.monotonic()
        self._changed = False
        seconds = self._last - self._start
        total = "" if self._total is None else f"/{self._total:g}"
        parts = [f"{self._done:g}{total} {self._unit}".rstrip()]
        if self._done and seconds > 0:
            rate = self._done / seconds
            parts.append(f"{rate:.3g} {self._unit}/s".replace(" /s", "/s"))
            if self._total and self._total > self._done:
                parts.append(f"ETA {(self._total - self._done) / rate:.0f} s")
        note = f" | {self._note}" if self._note else ""
        logger.info("[%s] %s%s", self._description, ", ".join(parts), note)


@contextmanager
def _terminal_bar(description: str, total: float | None, unit: str) -> Iterator[Bar]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task(description, total=total, note="", rate="")

        class _RichBar:
            def advance(self, amount: float = 1, note: str = "") -> None:
                shown.advance(task, amount)
                speed = shown.tasks[0].speed
                if speed:
                    shown.update(task, rate=f"{speed:.3g} {unit}/s".replace(" /s", "/s"))
                if note:
                    shown.update(task, note=note)

            def set_total(self, total: float | None) -> None:
                shown.update(task, total=total)

        yield _RichBar()
