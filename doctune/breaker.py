"""A breaker: keeps requests away from what fails, and lets one through after a while."""

from __future__ import annotations

import time

FAILURES_TO_OPEN = 3
OPEN_SECONDS = 10.0  # how long what failed is left alone


class Breaker:
    """Counts failures in a row; not for use from several threads at once."""

    def __init__(self) -> None:
        self._failures = 0
        self._until = float("-inf")

    @property
    def open(self) -> bool:
        """Whether it is to be left alone now."""
        return time.monotonic() < self._until

    def may_try(self) -> bool:
        """Returns whether to ask now; after a pause it is one who tries, while others go on."""
        if self.open:
            return False
        if self._failures >= FAILURES_TO_OPEN:
            self._until = time.monotonic() + OPEN_SECONDS
        return True

    def succeeded(self) -> None:
        """Notes an answer."""
        self._failures, self._until = 0, float("-inf")

    def failed(self) -> None:
        """Notes a failure."""
        self._failures += 1
        if self._failures >= FAILURES_TO_OPEN:
            self._until = time.monotonic() + OPEN_SECONDS
