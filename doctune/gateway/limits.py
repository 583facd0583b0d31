"""Rate limits per key and model: requests and tokens a minute, tokens a day, requests in flight.

A request reserves the tokens that it may take and gives back what it did not, so that no number of
requests at once goes over a limit. Counters are in memory, or in Redis where many processes share
them; while Redis is unavailable, each process counts for itself and logs that it does. Requests in
flight are counted by each process.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from limits import RateLimitItem, RateLimitItemPerDay, RateLimitItemPerMinute
from limits.aio.strategies import MovingWindowRateLimiter

from doctune.gateway.keys import Principal
from doctune.gateway.options import LimitOptions
from doctune.gateway.problems import GatewayError, whole_seconds
from doctune.gateway.windows import Windows

_RETRY_REDIS_SECONDS = 5.0
_MINUTE, _DAY = 60.0, 86_400.0

logger = logging.getLogger("doctune.gateway")


@dataclass
class Admission:
    """A request within its limits. `headers` are OpenAI's `x-ratelimit-*`."""

    headers: dict[str, str] = field(default_factory=dict)
    tokens_used: int | None = None  # set once they are known; None: all that were reserved


class Limiter:
    """Enforces the limits of each key on each model."""

    def __init__(self, defaults: LimitOptions, redis_url: str = "") -> None:
        self._defaults = defaults
        self._memory = _MemoryCounters()
        self._redis = _RedisCounters(_redis_storage(redis_url)) if redis_url else None
        self._redis_away_until = float("-inf")
        self._in_flight: Counter[tuple[str, str]] = Counter()

    @property
    def degraded(self) -> bool:
        """Whether this process counts for itself because Redis is unavailable."""
        return self._redis is not None and time.monotonic() < self._redis_away_until

    @contextlib.asynccontextmanager
    async def admit(
        self, principal: Principal, model: str, tokens: int
    ) -> AsyncIterator[Admission]:
        """Holds a request's place within the limits for the block.

        Args:
            tokens: Most that the request can take, prompt and answer.

        Raises:
            GatewayError: 429, with the time after which to try again.
        """
        limits = _merged(self._defaults, principal.limits)
        place = (principal.id, model)
        most = limits.requests_in_flight
        if most is not None and self._in_flight[place] >= most:
            raise _refusal(f"{most} requests in flight", 1.0, Admission())
        self._in_flight[place] += 1
        try:
            counters, admission, reserved = await self._count(place, limits, tokens)
            try:
                yield admission
            finally:
                if admission.tokens_used is not None:
                    with contextlib.suppress(Exception):
                        await counters.settle(place, reserved, admission.tokens_used - tokens)
        finally:
            self._in_flight[place] -= 1
            if not self._in_flight[place]:
                del self._in_flight[place]

    async def _count(
        self, place: tuple[str, str], limits: LimitOptions, tokens: int
    ) -> tuple[_Counters, Admission, list[_Reservation]]:
        if self._redis is not None and not self.degraded:
            try:
                return self._redis, *await self._redis.take(place, limits, tokens)
            except GatewayError:
                raise
            except Exception as error:
                # Whatever Redis' client raises: users are not refused for it.
                self._redis_away_until = time.monotonic() + _RETRY_REDIS_SECONDS
                logger.warning(
                    "Redis is away (%s): this process counts limits for itself",
                    type(error).__name__,
                )
        return self._memory, *await self._memory.take(place, limits, tokens)


@dataclass(frozen=True)
class _Reservation:
    name: str  # of the window
    ends_at: float  # when it ends, by the clock of whoever counts
    window: Any


class _Counters(Protocol):
    async def take(
        self, place: tuple[str, str], limits: LimitOptions, tokens: int
    ) -> tuple[Admission, list[_Reservation]]:
        """Counts a request; counts nothing if it would exceed a limit."""

    async def settle(
        self, place: tuple[str, str], reserved: list[_Reservation], difference: int
    ) -> None:
        """Adjusts a reservation to what was used, if its window is still open."""


class _MemoryCounters:
    """The windows of this process."""

    def __init__(self) -> None:
        self._windows = Windows()

    async def take(
        self, place: tuple[str, str], limits: LimitOptions, tokens: int
    ) -> tuple[Admission, list[_Reservation]]:
        # Nothing is awaited here, so no other request comes in between.
        admission = Admission()
        reserved: list[_Reservation] = []
        for most, name, seconds in _token_limits(limits):
            window, left = self._windows.fixed((*place, name), seconds)
            if window.used + tokens > most:
                self._add(reserved, -tokens)
                _tell(admission, "tokens", most, most - window.used, left)
                raise _token_refusal(name, most, tokens, left, admission)
            window.used += tokens
            reserved.append(_Reservation(name, window.ends_at, window))
            _tell(admission, "tokens", most, most - window.used, left)
        if (most_requests := limits.requests_per_minute) is not None:
            taken, remaining, left = self._windows.hit((*place, "r"), most_requests, _MINUTE)
            if not taken:
                self._add(reserved, -tokens)
                _tell(admission, "requests", most_requests, 0, left)
                raise _refusal(f"{most_requests} requests a minute", left, admission)
            _tell(admission, "requests", most_requests, remaining, left)
        return admission, reserved

    async def settle(
        self, place: tuple[str, str], reserved: list[_Reservation], difference: int
    ) -> None:
        self._add(reserved, difference)

    def _add(self, reserved: list[_Reservation], difference: int) -> None:
        # A window that has ended is no longer looked at.
        for reservation in reserved:
            reservation.window.used += difference


class _RedisCounters:
    """The windows that all processes share."""

    def __init__(self, storage: Any) -> None:
        self._storage = storage
        self._requests = MovingWindowRateLimiter(storage)

    async def take(
        self, place: tuple[str, str], limits: LimitOptions, tokens: int
    ) -> tuple[Admission, list[_Reservation]]:
        admission = Admission()
        reserved: list[_Reservation] = []
        for most, name, _ in _token_limits(limits):
            item = _ITEMS[name](most)
            used, ends_at = await self._add(item, place, tokens)
            if used > most:
                await self._add(item, place, -tokens)
                await self.settle(place, reserved, -tokens)
                left = max(0.0, ends_at - time.time())
                _tell(admission, "tokens", most, most - used + tokens, left)
                raise _token_refusal(name, most, tokens, left, admission)
            reserved.append(_Reservation(name, ends_at, item))
            _tell(admission, "tokens", most, most - used, ends_at - time.time())
        if limits.requests_per_minute is not None:
            item = RateLimitItemPerMinute(limits.requests_per_minute)
            taken = await self._requests.hit(item, *place, "requests")
            window = await self._requests.get_window_stats(item, *place, "requests")
            left = max(0.0, window.reset_time - time.time())
            if not taken:
                await self.settle(place, reserved, -tokens)
                _tell(admission, "requests", item.amount, 0, left)
                raise _refusal(f"{item.amount} requests a minute", left, admission)
            _tell(admission, "requests", item.amount, window.remaining, left)
        return admission, reserved

    async def settle(
        self, place: tuple[str, str], reserved: list[_Reservation], difference: int
    ) -> None:
        for reservation in reserved:
            if difference and time.time() < reservation.ends_at:
                await self._add(reservation.window, place, difference)

    async def _add(
        self, item: RateLimitItem, place: tuple[str, str], amount: int
    ) -> tuple[int, float]:
        key = item.key_for(*place, "tokens")
        used = await self._storage.incr(key, item.get_expiry(), amount=amount)
        return int(used), float(await self._storage.get_expiry(key))


_ITEMS: dict[str, Callable[[int], RateLimitItem]] = {
    "day": RateLimitItemPerDay,
    "minute": RateLimitItemPerMinute,
}


def _token_limits(limits: LimitOptions) -> list[tuple[int, str, float]]:
    """Returns the token limits, each with the name and length of its window."""
    found: list[tuple[int, str, float]] = []
    if limits.tokens_per_day is not None:
        found.append((limits.tokens_per_day, "day", _DAY))
    if limits.tokens_per_minute is not None:
        found.append((limits.tokens_per_minute, "minute", _MINUTE))
    return found


@functools.lru_cache(maxsize=4096)
def _merged(defaults: LimitOptions, own: LimitOptions) -> LimitOptions:
    given = own.model_dump(exclude_none=True)
    return defaults.model_copy(update=given) if given else defaults


def _tell(admission: Admission, what: str, most: int, remaining: int, left: float) -> None:
    headers = admission.headers
    headers[f"x-ratelimit-limit-{what}"] = str(most)
    headers[f"x-ratelimit-remaining-{what}"] = str(max(0, remaining))
    headers[f"x-ratelimit-reset-{what}"] = f"{max(0.0, left):.3f}s"


def _refusal(what: str, wait: float, admission: Admission) -> GatewayError:
    return _exceeded(
        f"The key's limit of {what} for this model is reached: "
        f"try again in {whole_seconds(wait)} s.",
        wait,
        admission,
    )


def _token_refusal(
    window: str, most: int, tokens: int, wait: float, admission: Admission
) -> GatewayError:
    if tokens <= most:
        return _refusal(f"{most} tokens a {window}", wait, admission)
    return _exceeded(
        f"The request may take {tokens} tokens, prompt and answer, which is more than the key's "
        f"limit of {most} tokens a {window} for this model: shorten it, or lower max_tokens.",
        wait,
        admission,
    )


def _exceeded(message: str, wait: float, admission: Admission) -> GatewayError:
    return GatewayError(
        429,
        message,
        code="rate_limit_exceeded",
        retry_after=wait,
        headers=admission.headers,
    )


def _redis_storage(url: str) -> Any:
    from limits.aio.storage import RedisStorage

    return RedisStorage(
        f"async+{url}", implementation="redispy", socket_timeout=1, socket_connect_timeout=1
    )
