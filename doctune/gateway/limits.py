"""How much a key may ask of a model: requests and tokens a minute, tokens a day, in flight.

A request reserves the tokens that it may take and gives back what it did not, so that no number of
requests at once goes over a limit. Counters are in memory, or in Redis where many processes share
them; while Redis is away each process counts for itself, and says so. Requests in flight are
counted by each process.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from limits import RateLimitItem, RateLimitItemPerDay, RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter

from doctune.gateway.keys import Principal
from doctune.gateway.options import LimitOptions
from doctune.gateway.problems import GatewayError

_RETRY_REDIS_SECONDS = 5.0

logger = logging.getLogger("doctune.gateway")


@dataclass
class Admission:
    """A request within its limits. `headers` are OpenAI's `x-ratelimit-*`."""

    headers: dict[str, str] = field(default_factory=dict)
    tokens_used: int | None = None  # set once they are known; None: all that were reserved


class Limiter:
    """Counts what keys ask of models."""

    def __init__(self, defaults: LimitOptions, redis_url: str = "") -> None:
        self._defaults = defaults
        self._memory = _Counters(MemoryStorage())
        self._redis = _Counters(_redis_storage(redis_url)) if redis_url else None
        self._redis_away_until = float("-inf")
        self._in_flight: Counter[tuple[str, str]] = Counter()

    @property
    def degraded(self) -> bool:
        """Whether this process counts for itself, since Redis is away."""
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
        limits = self._limits(principal)
        place = (principal.id, model)
        most = limits.requests_in_flight
        if most is not None and self._in_flight[place] >= most:
            raise _refusal(f"{most} requests in flight", 1.0, "requests_in_flight")
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

    def _limits(self, principal: Principal) -> LimitOptions:
        own = principal.limits.model_dump(exclude_none=True)
        return self._defaults.model_copy(update=own) if own else self._defaults


@dataclass(frozen=True)
class _Reservation:
    item: RateLimitItem
    ends_at: float  # when the window ends in which the tokens were counted


class _Counters:
    """The windows of one storage."""

    def __init__(self, storage: Any) -> None:
        self._storage = storage
        self._requests = MovingWindowRateLimiter(storage)

    async def take(
        self, place: tuple[str, str], limits: LimitOptions, tokens: int
    ) -> tuple[Admission, list[_Reservation]]:
        """Counts a request, or nothing of it where a limit is met."""
        admission = Admission()
        reserved: list[_Reservation] = []
        for most, item in _token_items(limits):
            used, ends_at = await self._add(item, place, tokens)
            if used > most:
                await self._add(item, place, -tokens)
                await self.settle(place, reserved, -tokens)
                raise _refusal(f"{most} tokens", max(0.0, ends_at - time.time()), "tokens")
            reserved.append(_Reservation(item, ends_at))
            _tell(admission, "tokens", most, most - used, ends_at)
        if limits.requests_per_minute is not None:
            item = RateLimitItemPerMinute(limits.requests_per_minute)
            taken = await self._requests.hit(item, *place, "requests")
            window = await self._requests.get_window_stats(item, *place, "requests")
            if not taken:
                await self.settle(place, reserved, -tokens)
                wait = max(0.0, window.reset_time - time.time())
                raise _refusal(f"{limits.requests_per_minute} requests a minute", wait, "requests")
            _tell(admission, "requests", item.amount, window.remaining, window.reset_time)
        return admission, reserved

    async def settle(
        self, place: tuple[str, str], reserved: list[_Reservation], difference: int
    ) -> None:
        """Corrects what was reserved, where its window still runs."""
        for reservation in reserved:
            if difference and time.time() < reservation.ends_at:
                await self._add(reservation.item, place, difference)

    async def _add(
        self, item: RateLimitItem, place: tuple[str, str], amount: int
    ) -> tuple[int, float]:
        key = item.key_for(*place, "tokens")
        used = await self._storage.incr(key, item.get_expiry(), amount=amount)
        return int(used), float(await self._storage.get_expiry(key))


def _token_items(limits: LimitOptions) -> list[tuple[int, RateLimitItem]]:
    items: list[tuple[int, RateLimitItem]] = []
    if limits.tokens_per_day is not None:
        items.append((limits.tokens_per_day, RateLimitItemPerDay(limits.tokens_per_day)))
    if limits.tokens_per_minute is not None:
        items.append((limits.tokens_per_minute, RateLimitItemPerMinute(limits.tokens_per_minute)))
    return items


def _tell(admission: Admission, what: str, most: int, remaining: int, ends_at: float) -> None:
    admission.headers |= {
        f"x-ratelimit-limit-{what}": str(most),
        f"x-ratelimit-remaining-{what}": str(max(0, remaining)),
        f"x-ratelimit-reset-{what}": f"{max(0.0, ends_at - time.time()):.3f}s",
    }


def _refusal(what: str, wait: float, code: str) -> GatewayError:
    return GatewayError(
        429,
        f"The key's limit of {what} for this model is met: try again in {max(1, round(wait))} s.",
        code=f"rate_limit_exceeded_{code}",
        retry_after=wait,
    )


def _redis_storage(url: str) -> Any:
    from limits.aio.storage import RedisStorage

    return RedisStorage(
        f"async+{url}", implementation="redispy", socket_timeout=1, socket_connect_timeout=1
    )
