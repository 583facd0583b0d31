"""Events of a running pipeline: one JSON object per line, written as they happen.

The worker appends to `events.jsonl`; the terminal and localvertex's PipelineJobs read it. Each line
is written with a single call, so only the last line can be incomplete for a reader.
"""

import secrets
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

EventKind = Literal[
    "task_started",
    "task_cached",
    "task_succeeded",
    "task_failed",
    "task_not_triggered",
    "group_started",
    "group_succeeded",
    "group_failed",
    "run_succeeded",
    "run_failed",
]
# These events concern a single step; the others concern groups of steps or the run.
STEP_EVENTS = frozenset({"task_started", "task_cached", "task_succeeded", "task_failed"})

_TASK_ID_BITS = 62


def new_task_id() -> str:
    """Returns a numeric id for a task of a run, as on Vertex AI."""
    return str(secrets.randbits(_TASK_ID_BITS) | 1 << (_TASK_ID_BITS - 1))


class Event(BaseModel):
    """An event of a run."""

    model_config = ConfigDict(frozen=True)

    kind: EventKind
    time: float = Field(default_factory=time.time, description="Seconds since the epoch.")
    task: str = ""
    task_id: str = Field("", description="Of this one execution: each round has its own.")
    groups: tuple[str, ...] = Field(
        (), description="Ids of the conditions, loops and handlers around it, outermost first."
    )
    display_name: str = ""
    iteration: int | None = Field(None, description="Which round of a loop, from 0; None outside.")
    seconds: float = 0.0
    inputs: dict[str, Any] = Field(default_factory=dict, description="As outputs.")
    outputs: dict[str, Any] = Field(
        default_factory=dict,
        description="Parameter values; artifacts as {uri, metadata, schema_title}.",
    )
    error: str = ""


class EventLog:
    """Appends events to a file."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._lock = threading.Lock()

    def write(self, event: Event) -> None:
        """Appends one event and flushes it."""
        # The iterations of a loop write concurrently.
        with self._lock, self._path.open("a", encoding="utf-8") as file:
            file.write(event.model_dump_json() + "\n")


class EventReader:
    """Reads the events added since the last call."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def new_events(self) -> Iterator[Event]:
        """Yields the new events; an incomplete last line is left for the next call."""
        if not self._path.is_file():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._offset += len(line)
                yield Event.model_validate_json(line)
