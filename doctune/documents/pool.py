"""A pool of worker processes that parse PDFs under limits: a failure costs only one file.

A worker that exceeds its time limit is killed; one that crashes is replaced. The parent waits for
all of them in one thread.
"""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from doctune import limits
from doctune.documents.errors import PdfError
from doctune.documents.options import ParseOptions
from doctune.documents.wire import Frames, unpack_status
from doctune.errors import CorpusError

_FRAME_SLACK = 64 << 20  # bytes on top of the text of a file, for page images
_RETIRE_SHARE = 0.5  # of the memory limit: a worker that has used more is replaced
# The environment variables of workers. They get no secrets, since they parse hostile files.
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT", "HOME")


@dataclass(frozen=True)
class Task:
    """A task for a worker: the facts of a file (`first` is None), pages, images, attachments.

    Attributes:
        first, stop: The pages from index `first` up to but not including `stop`.
        pictures: Numbers (from 1) of the pages to render.
        attached: Whether to return the attached PDFs.
    """

    index: int
    path: Path
    first: int | None = None
    stop: int | None = None
    pictures: tuple[int, ...] = ()
    attached: bool = False


Outcome = dict[str, Any] | PdfError
Handler = Callable[[Task, Outcome], Iterable[Task]]


class WorkerPool:
    """Runs tasks in worker processes. Use it as a context manager."""

    def __init__(self, workers: int, options: ParseOptions) -> None:
        self._size = workers
        self._options = options
        self._packed_options = options.model_dump()
        self._workers: list[_Worker] = []

    def __enter__(self) -> "WorkerPool":
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.kill()
        self._workers.clear()

    def run(self, tasks: Iterable[Task], handle: Handler) -> None:
        """Runs tasks, and further ones that `handle` returns for their outcomes, to the end."""
        waiting = deque(tasks)
        with selectors.DefaultSelector() as selector:
            for worker in self._workers:
                selector.register(worker.output, selectors.EVENT_READ, worker)
            while waiting or any(worker.task for worker in self._workers):
                self._assign(waiting, selector)
                for worker in self._ready(selector):
                    task, outcome = worker.take()
                    if worker.dead or worker.peak_mb > self._retire_above:
                        selector.unregister(worker.output)
                        worker.kill()
                        self._workers.remove(worker)
                    if task is not None:
                        waiting.extend(handle(task, outcome))

    @property
    def _retire_above(self) -> float:
        return _RETIRE_SHARE * self._options.memory_limit_mb

    def _assign(self, waiting: deque[Task], selector: selectors.BaseSelector) -> None:
        busy = sum(1 for worker in self._workers if worker.task)
        while len(self._workers) < min(self._size, busy + len(waiting)):
            worker = _Worker(self._options)
            self._workers.append(worker)
            selector.register(worker.output, selectors.EVENT_READ, worker)
        for worker in self._workers:
            if waiting and worker.idle:
                worker.give(waiting.popleft(), self._packed_options, self._options.timeout_seconds)

    def _ready(self, selector: selectors.BaseSelector) -> list["_Worker"]:
        """Waits until workers have answered, died or exceeded their time; returns those."""
        now = time.monotonic()
        deadlines = [worker.deadline for worker in self._workers]
        wait = max(0.0, min(deadlines, default=now) - now)
        for key, _ in selector.select(timeout=min(wait, 1.0)):
            key.data.receive()
        now = time.monotonic()
        for worker in self._workers:
            if not worker.answered and now > worker.deadline:
                worker.expire()
        return [worker for worker in self._workers if worker.answered]


class _Worker:
    """A worker process and its current task."""

    def __init__(self, options: ParseOptions) -> None:
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "doctune.documents.worker", str(options.memory_limit_mb)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        self._input: IO[bytes] = self._process.stdin  # type: ignore[assignment]
        self.output: IO[bytes] = self._process.stdout  # type: ignore[assignment]
        os.set_blocking(self.output.fileno(), False)
        self.deadline = time.monotonic() + limits.READER_START.seconds
        self.task: Task | None = None
        self.started = self.dead = self._expired = self._refused = False
        self.peak_mb = 0.0
        self._timeout_seconds = limits.READER_START.seconds
        self._limit_mb = options.memory_limit_mb
        self._extensions = 0  # how often its time limit may be restarted
        self._frames = Frames(_FRAME_SLACK + (options.output_limit_mb << 20))
        self._reply: dict[str, Any] | None = None

    @property
    def idle(self) -> bool:
        return self.started and self.task is None and not self.dead

    @property
    def answered(self) -> bool:
        return self._reply is not None or self.dead

    def give(self, task: Task, options: dict[str, Any], timeout_seconds: float) -> None:
        self.task = task
        self._timeout_seconds = timeout_seconds
        self._extensions = (task.stop or 0) - (task.first or 0)
        self.deadline = time.monotonic() + timeout_seconds
        request = {
            "path": str(task.path),
            "first": task.first,
            "stop": task.stop,
            "pictures": task.pictures,
            "attached": task.attached,
            "options": options,
        }
        # If the worker has just died, the end of its output shows that.
        with contextlib.suppress(OSError):
            self._input.write(json.dumps(request).encode() + b"\n")
            self._input.flush()

    def receive(self) -> None:
        """Reads the available output."""
        chunk = self.output.read(1 << 20)
        if chunk is None:
            return
        try:
            messages = self._frames.feed(chunk)
        except (ValueError, RecursionError):
            # Not the worker's protocol: a hostile file may have taken it over.
            self._refused = True
            messages = []
        for message in messages:
            if "alive" not in message:
                self._reply = message
            elif self._extensions:
                # A scanned page is done: restart the time limit.
                self._extensions -= 1
                self.deadline = time.monotonic() + self._timeout_seconds
        self.dead = self._refused or not chunk

    def expire(self) -> None:
        """Kills a worker that has exceeded its time limit."""
        self._expired = self.dead = True

    def take(self) -> tuple[Task | None, Outcome]:
        """Returns the finished task and its outcome.

        Raises:
            CorpusError: The worker could not even start.
        """
        reply, task = self._reply, self.task
        self._reply = self.task = None
        self.deadline = float("inf")
        if reply is None:
            status = self.kill()
            if not self.started:
                raise CorpusError(
                    f"A worker process could not start (status {status}): raise "
                    f"`memory_limit_mb` (now {self._limit_mb}) or run `doctune doctor`."
                )
            return task, self._explain(task.path.name if task else "", status)
        if not self.started:
            self.started = True
            return None, {}
        try:
            self.peak_mb, error = unpack_status(reply)
        except (KeyError, TypeError, ValueError):
            self._refused = self.dead = True
            error = self._explain(task.path.name if task else "", 0)
        return task, error or reply

    def _explain(self, name: str, status: int) -> PdfError:
        if self._refused:
            return PdfError("crashed", f"{name} made its worker send an invalid answer.")
        if self._expired:
            return PdfError("timeout", f"{name} takes longer than `timeout_seconds` allows.")
        if -status in (signal.SIGABRT, signal.SIGKILL):
            # PDFium aborts without memory; the system kills processes that use too much.
            return PdfError("out of memory", f"{name} needs more memory than `memory_limit_mb`.")
        ended = f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"
        return PdfError("crashed", f"{name} crashed the PDF library ({ended}): it is damaged.")

    def kill(self) -> int:
        """Kills the process; returns its exit status."""
        if self._process.poll() is None:
            if self.dead and not (self._expired or self._refused):
                with contextlib.suppress(subprocess.TimeoutExpired):
                    return self._process.wait(2)
            self._process.kill()
        with contextlib.suppress(OSError):
            self._input.close()
        self.output.close()
        return limits.wait_for_end(self._process, limits.PROCESS_END, "a killed reader of PDFs")
