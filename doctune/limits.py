"""Time limits for waiting on programs, servers, operations and locks, and functions that keep them.

When a limit is exceeded, the error says what was waited for and which environment variable raises
the limit, for slower machines. Limits of a user's own work (of a prediction, a PDF, a deployment)
are settings instead.
"""

import fcntl
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

from doctune.errors import ConfigurationError, TimeLimitError

_T = TypeVar("_T")
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.01, 0.5


@dataclass(frozen=True)
class Limit:
    """A time in seconds, and the environment variable that changes it."""

    name: str
    default: float
    what: str

    @property
    def variable(self) -> str:
        """The environment variable."""
        return f"DOCTUNE_LIMIT_{self.name.upper()}"

    @property
    def seconds(self) -> float:
        """The limit, from the environment variable if it is set.

        Raises:
            ConfigurationError: The environment variable is not a number above 0.
        """
        given = os.environ.get(self.variable)
        if given is None:
            return self.default
        try:
            seconds = float(given)
        except ValueError:
            seconds = 0.0
        if not 0 < seconds < float("inf"):
            raise ConfigurationError(f"{self.variable} is {given!r}: give it seconds, above 0.")
        return seconds

    def passed(self, what: str) -> TimeLimitError:
        """Returns the error to raise.

        Args:
            what: What was waited for, such as "the lock FILE".
        """
        return TimeLimitError(
            f"Waited {self.seconds:g} s for {what}, then gave up. "
            f"Set {self.variable} to wait longer."
        )


LOCK = Limit(
    "lock", 2400, "Another process's turn with a shared file, as when it installs packages."
)
SERVER_START = Limit("server_start", 90, "A server that doctune starts, until it answers.")
PROCESS_END = Limit("process_end", 20, "A program that was told to end, before it is killed.")
CONNECTION = Limit("connection", 30, "A connection on this machine, and the first bytes on it.")
HEALTH_CHECK = Limit("health_check", 10, "The answer to a health check.")
REQUEST = Limit("request", 60, "The answer to one request to an API of Google's.")
PREDICTION = Limit("prediction", 120, "The answer of an endpoint to one request.")
LOCAL_PREDICTION = Limit("local_prediction", 600, "The same, of a model program on this machine.")
MODEL_LOADING = Limit("model_loading", 120, "A model server that has just been started again.")
OPERATION = Limit(
    "operation", 7200, "An operation of Vertex AI's, as a deployment, which takes half an hour."
)
INSTALL = Limit("install", 1800, "pip, for the packages that a component asks for.")
TOOL = Limit("tool", 300, "A helper program: one that lists languages or reads the SDK's classes.")
OCR = Limit("ocr", 90, "Tesseract, for a page.")
READER_START = Limit("reader_start", 60, "A process that reads PDFs, until it takes the first.")
WORKERS_MEET = Limit("workers_meet", 50, "The other training workers, until all have come.")
WORKERS_WAIT = Limit("workers_wait", 1200, "A training worker that computes or writes.")

ALL: tuple[Limit, ...] = tuple(value for value in globals().values() if isinstance(value, Limit))


def wait_until(ready: Callable[[], _T], limit: Limit, what: str) -> _T:
    """Calls until the result is true, at growing intervals; returns that result.

    Raises:
        TimeLimitError: The limit was exceeded.
    """
    deadline, pause = time.monotonic() + limit.seconds, _FIRST_PAUSE_SECONDS
    while not (answer := ready()):
        if time.monotonic() >= deadline:
            raise limit.passed(what)
        time.sleep(pause)
        pause = min(1.5 * pause, _LONGEST_PAUSE_SECONDS)
    return answer


@contextmanager
def locked(path: Path, what: str) -> Iterator[IO[str]]:
    """Holds the lock of a file, which is created if missing, while the block runs.

    The lock is released when its holder ends, even if it is killed.

    Args:
        what: Who holds the lock, for the message: "another process that starts the server".

    Raises:
        TimeLimitError: Another process has held it for longer than `LOCK`.
    """

    def take() -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    with path.open("w") as file:
        wait_until(take, LOCK, f"{what}, which holds {path}")
        yield file


def wait_for_end(process: "subprocess.Popen[Any]", limit: Limit, what: str) -> int:
    """Returns the exit code of a program that is about to end.

    Raises:
        TimeLimitError: It did not end in time.
    """
    try:
        return process.wait(limit.seconds)
    except subprocess.TimeoutExpired as error:
        raise limit.passed(f"{what} (process {process.pid}) to end") from error


def call_within(limit: Limit, what: str, call: Callable[[], _T]) -> _T:
    """Returns the result of a call that has no time-out itself, such as one of Google's SDK.

    A call that exceeds the limit goes on in its thread until this process ends.

    Raises:
        TimeLimitError: It did not return in time.
    """
    results: list[_T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:  # raised again where the call was made
            errors.append(error)

    thread = threading.Thread(target=run, name=what, daemon=True)
    thread.start()
    thread.join(limit.seconds)
    if thread.is_alive():
        raise limit.passed(what)
    if errors:
        raise errors[0]
    return results[0]
