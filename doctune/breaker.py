"""A circuit breaker: stops requests to what keeps failing, and lets one through after a pause."""

from __future__ import annotations

import time

FAILURES_TO_OPEN = 3
OPEN_SECONDS = 10.0  # how long what failed is left alone


class Breaker:
    """Counts consecutive failures; not thread-safe."""

    def __init__(self) -> None:
        self._failures = 0
        self._until = float("-inf")

    @property
    def open(self) -> bool:
        """Whether requests are stopped now."""
        return time.monotonic() < self._until

    def may_try(self) -> bool:
        """Returns whether to send a request now; after a pause, only one caller may."""
        if self.open:
            return False
        if self._failures >= FAILURES_TO_OPEN:
            self._until = time.monotonic() + OPEN_SECONDS
        return True

    def succeeded(self) -> None:
        """Records a success."""
        self._failures, self._until = 0, float("-inf")

    def failed(self) -> None:
        """Records a failure."""
        self._failures += 1
        if self._failures >= FAILURES_TO_OPEN:
            self._until = time.monotonic() + OPEN_SECONDS
