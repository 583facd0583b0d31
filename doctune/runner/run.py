"""Runs a compiled spec in a worker process and watches it."""

import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from doctune.configuration.vertex_sections import LocalSettings
from doctune.errors import PipelineError, UsageError
from doctune.files import write_json
from doctune.processes import start_process, stop_process
from doctune.runner.events import Event, EventReader
from doctune.runner.gcs_mount import FLAT_FOLDER_VARIABLE, mounting

Runner = Literal["subprocess", "docker"]

_POLL_SECONDS = 0.1
_PROGRESS_LINE = re.compile(r"(\[[^\[\]]+\] \d\S* ?.*)$")
_ERROR_LINE = re.compile(r"^\s*(?:[\w.]+\.)?(\w*(?:Error|Exception|Interrupt|Exit)): (.+)$")


class Watcher(Protocol):
    """Observes a run; override the callbacks to display it."""

    def on_event(self, event: Event) -> None:
        """Called for each event."""

    def on_progress(self, line: str) -> None:
        """Called with the running step's newest line of progress."""

    def on_tick(self) -> None:
        """Called several times a second."""


@dataclass
class RunResult:
    """The result of a run."""

    folder: Path
    seconds: float = 0.0
    events: list[Event] = field(default_factory=list)

    def outputs(self, task: str) -> dict[str, Any]:
        """Returns a step's outputs, in a loop the latest iteration's; empty if it did not run."""
        for event in reversed(self.events):
            if event.task == task and event.kind in ("task_succeeded", "task_cached"):
                return event.outputs
        return {}

    @property
    def step_seconds(self) -> dict[str, float]:
        """Seconds that each step took, summed over loop iterations; close to 0 if reused."""
        seconds: dict[str, float] = {}
        for event in self.events:
            if event.kind in ("task_succeeded", "task_cached"):
                seconds[event.task] = round(seconds.get(event.task, 0.0) + event.seconds, 3)
        return seconds

    @property
    def cached_steps(self) -> list[str]:
        """The steps whose outputs were reused, in a loop in every iteration."""
        done = {event.task for event in self.events if event.kind == "task_succeeded"}
        cached = [event.task for event in self.events if event.kind == "task_cached"]
        return [task for task in dict.fromkeys(cached) if task not in done]


def run_pipeline(
    spec: Path,
    arguments: Mapping[str, Any],
    *,
    root: Path,
    environment: Mapping[str, str],
    watcher: Watcher,
    local: LocalSettings | None = None,
    runner: Runner = "subprocess",
    enable_caching: bool = True,
) -> RunResult:
    """Runs a compiled spec to completion.

    Args:
        spec: The compiled YAML.
        arguments: Values of the pipeline's parameters.
        root: The folder of runs and outputs: `runs/` and `pipeline_root/` under it.
        environment: The complete environment of the steps.
        local: The programs that replace images of container components, and the folder of the
            objects that steps find under /gcs.
        runner: Whether steps run as processes or as containers of their images.
        enable_caching: Whether outputs of earlier runs may be reused.

    Raises:
        UsageError: The spec or an image is missing, or the arguments do not fit the spec.
        PipelineError: A step failed; the message is the step's own.
    """
    if not spec.is_file():
        raise UsageError(f"{spec} is missing: make it with `python compile.py`.")
    if runner == "docker":
        from doctune.runner.docker import require_engine

        require_engine(spec)
    folder = root.absolute() / "runs" / datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
    write_json(folder / "arguments.json", dict(arguments))
    local = local or LocalSettings()
    write_json(folder / "programs.json", local.programs)
    result = RunResult(folder)
    start = time.monotonic()
    storage = local.state_dir.absolute() / "storage"
    command: list[str | Path] = [
        *mounting(storage, refuse_folder_renames=local.refuse_folder_renames),
        *(sys.executable, "-m", "doctune.runner.worker"),
        *("--spec", spec.absolute(), "--arguments", folder / "arguments.json"),
        *("--folder", folder, "--pipeline-root", root.absolute() / "pipeline_root"),
        *("--programs", folder / "programs.json"),
        *("--storage", storage),
        *(["--refuse-folder-renames"] if local.refuse_folder_renames else []),
        *("--runner", runner),
        *([] if enable_caching else ["--no-cache"]),
    ]
    if local.refuse_folder_renames:
        environment = {**environment, FLAT_FOLDER_VARIABLE: str(root.absolute() / "pipeline_root")}
    with _worker(command, environment) as process:
        lines = _LogLines(process, folder / "log.txt")
        reader = EventReader(folder / "events.jsonl")
        while True:
            ended = process.poll() is not None
            for event in reader.new_events():
                result.events.append(event)
                watcher.on_event(event)
            if line := lines.newest_progress():
                watcher.on_progress(line)
            watcher.on_tick()
            if ended:
                break
            time.sleep(_POLL_SECONDS)
        lines.finish()
    result.seconds = time.monotonic() - start
    if process.returncode != 0:
        raise _failure(result, lines.tail(), process.returncode)
    return result


@contextmanager
def _worker(
    command: list[str | Path], environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[str]]:
    process = start_process(
        command,
        environment={**environment, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            stop_process(process.pid)


class _LogLines:
    """Copies a process's output to a file, and keeps the lines that are worth showing."""

    def __init__(self, process: subprocess.Popen[str], path: Path) -> None:
        self._progress = ""
        self._tail: list[str] = []
        self._thread = threading.Thread(target=self._read, args=(process, path), daemon=True)
        self._thread.start()

    def _read(self, process: subprocess.Popen[str], path: Path) -> None:
        assert process.stdout is not None  # noqa: S101
        with path.open("w", encoding="utf-8") as log:
            for line in process.stdout:
                log.write(line)
                log.flush()
                self._tail = [*self._tail[-400:], line.rstrip()]
                if found := _PROGRESS_LINE.search(line.rstrip()):
                    self._progress = found[1]

    def newest_progress(self) -> str:
        line, self._progress = self._progress, ""
        return line

    def tail(self) -> list[str]:
        return self._tail

    def finish(self) -> None:
        self._thread.join(timeout=5)


def _failure(result: RunResult, log_tail: list[str], returncode: int) -> Exception:
    log = result.folder / "log.txt"
    failed = next((event for event in result.events if event.kind == "task_failed"), None)
    which = "" if failed is None or failed.iteration is None else f" (round {failed.iteration + 1})"
    if failed is None:
        reason = next((e.error for e in result.events if e.kind == "run_failed"), "")
        if returncode == 2 and reason:
            return UsageError(f"The arguments do not fit the pipeline: {reason}")
        return PipelineError(
            f"The run ended with exit code {returncode}: {reason or 'no reason given'} (log: {log})"
        )
    reason = _reason([failed.error] if failed.error else log_tail)
    return PipelineError(f"{failed.display_name}{which} failed: {reason} (log: {log})")


def _reason(log_tail: list[str]) -> str:
    for line in reversed(log_tail):
        if found := _ERROR_LINE.match(line):
            kind, message = found.groups()
            return (
                message
                if kind.endswith("Error") and kind in _own_errors()
                else f"{kind}: {message}"
            )
    return log_tail[0] if len(log_tail) == 1 else "it gave no reason; see the log"


def _own_errors() -> set[str]:
    from doctune import errors

    return {name for name in vars(errors) if name.endswith("Error")}
