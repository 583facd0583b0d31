"""Follows a run: prints a line when a step starts or ends, and its log as it grows."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from doctune.vertex.jobs import Run, RunTask
    from doctune.vertex.run_logs import LogLine

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 10.0
# Cloud Logging files lines a few seconds after they were written.
_LAST_LINES_SECONDS = 5.0
_MOST_LAST_LOOKS = 12
_STYLES = {"succeeded": "green", "skipped": "green", "failed": "red", "cancelled": "red"}


def follow_run(run: str, console: Console) -> "Run":
    """Prints each change of a run's steps until it ends; returns the finished run.

    Ctrl-C stops following, never the run.
    """
    from doctune.vertex.jobs import status

    shown: dict[tuple[str, int], str] = {}
    pauses = _pauses()
    try:
        while True:
            now = status(run)
            for line in _changes(now, shown):
                console.print(line, highlight=False)
            if now.is_over:
                return now
            time.sleep(next(pauses))
    except KeyboardInterrupt:
        console.print(f"The run continues. See: doctune status {run}", highlight=False)
        raise


def follow_logs(run: str, *, task: str = "", follow: bool = False) -> Iterator["LogLine"]:
    """Yields the lines of a run's log; with `follow`, also new ones until the run ends."""
    from doctune.vertex.jobs import status
    from doctune.vertex.run_logs import RunLog

    log, pauses = RunLog(run, task=task), _pauses()
    looks = 0
    while follow:
        now = status(run)
        # A step that is named may not have started yet.
        started = not task or any(found.name == task and found.started for found in now.tasks)
        if not (started or now.is_over):
            time.sleep(next(pauses))
            continue
        found = list(log.new_lines())
        yield from found
        if now.is_over:
            looks += 1
            if (looks > 1 and not found) or looks == _MOST_LAST_LOOKS:
                return
            time.sleep(_LAST_LINES_SECONDS)
        else:
            time.sleep(next(pauses))
    yield from log.new_lines()


def task_table(run: "Run") -> Table:
    """Returns the steps of a run as a table."""
    table = Table("step", "state", "seconds", "", box=None, pad_edge=False)
    for task in run.tasks:
        style = _STYLES.get(task.state, "")
        table.add_row(task.name, task.state, _seconds(task), task.error, style=style)
    return table


def _pauses() -> Iterator[float]:
    """Yields the seconds between polls: short ones first, for runs that end soon."""
    seconds = _FIRST_PAUSE_SECONDS
    while True:
        yield seconds
        seconds = min(seconds * 1.3, _LONGEST_PAUSE_SECONDS)


def _changes(run: "Run", shown: dict[tuple[str, int], str]) -> Iterator[str]:
    seen: dict[str, int] = {}
    for task in run.tasks:
        # Steps in a loop share a name; they keep their order.
        key = (task.name, seen.setdefault(task.name, 0))
        seen[task.name] += 1
        if shown.get(key) == task.state:
            continue
        shown[key] = task.state
        seconds = _seconds(task)
        yield f"{task.name}: {task.state}{f' ({seconds} s)' if seconds else ''}"


def _seconds(task: "RunTask") -> str:
    if not (task.started and task.ended):
        return ""
    return f"{(task.ended - task.started).total_seconds():.1f}"
