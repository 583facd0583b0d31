"""The display of a running pipeline: a live table on a terminal, otherwise one line per event."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table

from doctune.runner.events import STEP_EVENTS, Event
from doctune.runner.run import Watcher

_LINE_INTERVAL_SECONDS = 5.0
_MARKS = {
    "task_succeeded": "[green]✓[/]",
    "task_cached": "[green]=[/]",
    "task_failed": "[red]✗[/]",
}
_WORDS = {"task_succeeded": "done", "task_cached": "unchanged, reused", "task_failed": "failed"}


@contextmanager
def watch(console: Console) -> Iterator[Watcher]:
    """Yields the watcher that displays a run on this console."""
    if console.is_terminal:
        table = _LiveTable()
        with Live(get_renderable=table.render, console=console, refresh_per_second=8):
            yield table
    else:
        yield _Lines(console)


@dataclass
class _Step:
    name: str
    start: float
    seconds: float | None = None
    kind: str = "task_started"
    note: str = ""


class _LiveTable:
    def __init__(self) -> None:
        self._steps: dict[tuple[str, int | None], _Step] = {}
        self._current: tuple[str, int | None] = ("", None)

    def on_event(self, event: Event) -> None:
        if event.kind not in STEP_EVENTS:
            return
        if event.kind == "task_started":
            self._current = (event.task, event.iteration)
            self._steps[self._current] = _Step(_name(event), time.monotonic())
        else:
            step = self._steps[event.task, event.iteration]
            step.kind, step.seconds, step.note = event.kind, event.seconds, ""

    def on_progress(self, line: str) -> None:
        if self._current in self._steps:
            self._steps[self._current].note = line

    def on_tick(self) -> None:
        """The live display refreshes itself."""

    def render(self) -> Table:
        table = Table.grid(padding=(0, 1))
        for step in self._steps.values():
            seconds = step.seconds if step.seconds is not None else time.monotonic() - step.start
            mark = _MARKS.get(step.kind) or Spinner("dots")
            note = step.note or _WORDS.get(step.kind, "")
            table.add_row(mark, step.name, f"{seconds:6.1f} s", f"[dim]{_escape(note)}[/]")
        return table


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._latest = 0.0

    def on_event(self, event: Event) -> None:
        if event.kind not in STEP_EVENTS:
            return
        if event.kind == "task_started":
            self._console.print(f"> {_name(event)}", markup=False, highlight=False)
        else:
            which = "" if event.iteration is None else f"{_name(event)}: "
            text = f"  {which}{_WORDS[event.kind]} ({event.seconds:.1f} s)"
            self._console.print(text, markup=False, highlight=False)

    def on_progress(self, line: str) -> None:
        if time.monotonic() - self._latest >= _LINE_INTERVAL_SECONDS:
            self._latest = time.monotonic()
            self._console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)

    def on_tick(self) -> None:
        """Does nothing: lines are printed as events arrive."""


def _name(event: Event) -> str:
    """Returns the name of a step; the iterations of a loop after the first are numbered."""
    return (
        f"{event.display_name} ({event.iteration + 1})" if event.iteration else event.display_name
    )


def _escape(text: str) -> str:
    return text.replace("[", r"\[")
