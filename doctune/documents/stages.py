"""Isolates the parsing steps of a page, so that a fault in one costs only its result.

Malformed files can break any step: a table without rows, a note without a number. The page is then
read without its tables or notes, and the fault is reported.
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
    """A failed parsing step.

    Attributes:
        stage: The step's name: what it detects.
        page: The page's number, from 1; 0 for the document as a whole.
        error: The error, as text.
    """

    stage: str
    page: int
    error: str


class Stages:
    """Runs parsing steps and records their faults."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def run(
        self, stage: str, pages: int | Iterable[int], step: Callable[[], _Found], default: _Other
    ) -> _Found | _Other:
        """Returns the result of a step, or `default` if it fails.

        Args:
            stage: The step's name, for warnings.
            pages: The number of the page or pages that it works on.
        """
        try:
            return step()
        except MemoryError:
            raise  # the process itself is out of resources
        except Exception as error:
            told = f"{type(error).__name__}: {error}"
            _log.debug("Looking for %s failed.", stage, exc_info=True)
            numbers = [pages] if isinstance(pages, int) else pages
            self.faults += [Fault(stage, number, told) for number in numbers]
            return default

    def on(self, page: int) -> tuple[Fault, ...]:
        """The faults on a page."""
        return tuple(fault for fault in self.faults if fault.page == page)
