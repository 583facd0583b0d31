"""Waiting in tests: always with a limit, and a message that says for what."""

import inspect
import selectors
import time
from collections.abc import Callable
from typing import IO, TypeVar

_T = TypeVar("_T")


def wait_for(condition: Callable[[], _T], seconds: float = 20, what: str = "") -> _T:
    """Returns the first true value of a condition.

    Args:
        what: For the message when it does not come true; else the condition's own source.
    """
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            what = what or " ".join(inspect.getsource(condition).split())
            raise AssertionError(f"waited {seconds:g} s for: {what}")
        time.sleep(0.1)
    return value


def next_line(stream: IO[str] | None, what: str, seconds: float = 60) -> str:
    """Returns the next line that a program writes; what it wrote before must have been read."""
    assert stream is not None
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        if not selector.select(seconds):
            raise AssertionError(f"waited {seconds:g} s for: {what}")
    return stream.readline()
