"""The looks at a page, each run so that a fault in it costs that look and no more.

What a file makes of us is not known beforehand: a table that has no row, a note without a number.
The page is then read without its tables or its notes, and the fault is told to whoever asked.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

_log = logging.getLogger(__name__)
_Found = TypeVar("_Found")
_Other = TypeVar("_Other")


@dataclass(frozen=True, slots=True)
class Fault:
    """A look at a page that failed.

    Attributes:
        stage: What was looked for.
        page: Its number, from 1; 0 for the document as a whole.
        error: What went wrong.
    """

    stage: str
    page: int
    error: str


class Stages:
    """Runs looks at pages and keeps the faults."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def run(
        self, stage: str, pages: int | Iterable[int], look: Callable[[], _Found], default: _Other
    ) -> _Found | _Other:
        """Returns what a look finds, or `default` where it fails.

        Args:
            stage: What is looked for, as warnings name it.
            pages: The number of the page that is looked at, or of several.
        """
        try:
            return look()
        except MemoryError:
            raise  # the process is at its end, not the look
        except Exception as error:
            told = f"{type(error).__name__}: {error}"
            _log.debug("Looking for %s failed.", stage, exc_info=True)
            numbers = [pages] if isinstance(pages, int) else pages
            self.faults += [Fault(stage, number, told) for number in numbers]
            return default

    def on(self, page: int) -> tuple[Fault, ...]:
        """The faults on a page."""
        return tuple(fault for fault in self.faults if fault.page == page)
