"""Answers that processes share in Redis, with locks so that only one process computes each.

None of it is needed to answer: while Redis is unavailable, each process caches for itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from doctune.gateway.upstreams import Answer, Source

if TYPE_CHECKING:
    from redis.asyncio.lock import Lock

_ANSWERS, _LOCKS = "doctune:answer:", "doctune:computing:"
_SOCKET_SECONDS = 1.0
_RETRY_SECONDS = 5.0  # after which Redis is tried again
# A lock outlives its process by no more than this; while the process lives, it is extended.
_LOCK_SECONDS = 10.0
_POLL_SECONDS = 0.05

logger = logging.getLogger("doctune.gateway")


class SharedAnswers:
    """The answers in Redis."""

    def __init__(self, url: str, seconds: float, wait_seconds: float) -> None:
        """Configures the client; the first request connects.

        Args:
            seconds: How long an answer is kept.
            wait_seconds: Longest wait for another process' answer; then it is computed here too.
        """
        from redis.asyncio import Redis

        self._redis = Redis.from_url(
            url, socket_timeout=_SOCKET_SECONDS, socket_connect_timeout=_SOCKET_SECONDS
        )
        self._milliseconds = int(1000 * seconds)
        self._wait_seconds = wait_seconds
        self._away_until = float("-inf")

    async def get(self, key: str) -> Answer | None:
        """Returns the cached answer to a key; None also while Redis is unavailable."""
        with self._tolerated():
            kept = await self._redis.get(_ANSWERS + key) if self._here else None
            return _read(kept) if kept else None
        return None

    async def put(self, key: str, answer: Answer) -> None:
        """Caches an answer."""
        with self._tolerated():
            if self._here:
                text = json.dumps(asdict(answer))
                await self._redis.set(_ANSWERS + key, text, px=self._milliseconds)

    @contextlib.asynccontextmanager
    async def alone(self, key: str) -> AsyncIterator[None]:
        """Lets one process at a time compute the answer to a key."""
        lock = await self._acquired(key)
        extending = asyncio.create_task(self._extend(lock)) if lock is not None else None
        try:
            yield
        finally:
            if lock is not None and extending is not None:
                extending.cancel()
                with self._tolerated():
                    await lock.release()

    async def close(self) -> None:
        """Closes the connections."""
        with self._tolerated():
            await self._redis.aclose()

    @property
    def _here(self) -> bool:
        return time.monotonic() >= self._away_until

    async def _acquired(self, key: str) -> Lock | None:
        lock = self._redis.lock(
            _LOCKS + key, timeout=_LOCK_SECONDS, sleep=_POLL_SECONDS, thread_local=False
        )
        with self._tolerated():
            if self._here and await lock.acquire(blocking_timeout=self._wait_seconds):
                return lock
        return None

    async def _extend(self, lock: Lock) -> None:
        while True:
            await asyncio.sleep(_LOCK_SECONDS / 3)
            with self._tolerated():
                await lock.extend(_LOCK_SECONDS, replace_ttl=True)

    @contextlib.contextmanager
    def _tolerated(self) -> Iterator[None]:
        """Suppresses failures of Redis, which is then not used for a while."""
        from redis.exceptions import LockError, RedisError

        try:
            yield
        except LockError:
            return  # it expired: another process computes the answer too
        except (RedisError, OSError) as error:
            self._away_until = time.monotonic() + _RETRY_SECONDS
            logger.warning(
                "Redis is away (%s): this process caches answers for itself", type(error).__name__
            )


def _read(kept: bytes | str) -> Answer:
    document = json.loads(kept)
    return Answer(**{**document, "source": Source(**document["source"])})
