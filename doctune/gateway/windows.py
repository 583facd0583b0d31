"""Counts of requests and tokens over time, in this process' memory.

They use the monotonic clock, so that a step of the system clock neither frees nor locks a key, and
no update awaits, so that counts are exact under concurrency. The library `limits`, which counts in
Redis, can count in memory as well, but its clock and its sweep over all keys, in a thread at each
call, took half of the gateway's own time.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

_SWEEP_SECONDS = 60.0


@dataclass
class FixedWindow:
    """Tokens of one key and model, until a moment."""

    used: int
    ends_at: float


@dataclass
class _MovingWindow:
    """The times of the requests within the last seconds."""

    seconds: float
    moments: deque[float] = field(default_factory=deque)

    def forget(self, now: float) -> None:
        moments = self.moments
        while moments and moments[0] <= now - self.seconds:
            moments.popleft()


class Windows:
    """All windows of a process, by name."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._fixed: dict[tuple[str, ...], FixedWindow] = {}
        self._moving: dict[tuple[str, ...], _MovingWindow] = {}
        self._sweep_at = clock() + _SWEEP_SECONDS

    def __len__(self) -> int:
        return len(self._fixed) + len(self._moving)

    def fixed(self, name: tuple[str, ...], seconds: float) -> tuple[FixedWindow, float]:
        """Returns the current window and the seconds until it ends."""
        now = self._now()
        window = self._fixed.get(name)
        if window is None or window.ends_at <= now:
            window = self._fixed[name] = FixedWindow(0, now + seconds)
        return window, window.ends_at - now

    def hit(self, name: tuple[str, ...], most: int, seconds: float) -> tuple[bool, int, float]:
        """Counts a request unless the limit within the time is reached.

        Returns:
            Whether it was counted, how many more may come, and in how long one leaves the window.
        """
        now = self._now()
        window = self._moving.setdefault(name, _MovingWindow(seconds))
        window.forget(now)
        moments = window.moments
        taken = len(moments) < most
        if taken:
            moments.append(now)
        # Where the limit was lowered, more are inside than may be.
        leaves = moments[max(0, len(moments) - most)] + seconds - now
        return taken, max(0, most - len(moments)), leaves

    def _now(self) -> float:
        now = self._clock()
        if now >= self._sweep_at:
            self._sweep_at = now + _SWEEP_SECONDS
            self._fixed = {name: kept for name, kept in self._fixed.items() if kept.ends_at > now}
            for window in self._moving.values():
                window.forget(now)
            self._moving = {name: kept for name, kept in self._moving.items() if kept.moments}
        return now
