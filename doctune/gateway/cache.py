"""Exact cache of answers to deterministic requests; equal concurrent requests wait for the first.

Answers are kept in this process' memory and, if Redis is configured, there for all processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass

from doctune.chat_schema import ChatRequest
from doctune.digests import digest_value
from doctune.gateway.options import CacheOptions
from doctune.gateway.shared_cache import SharedAnswers
from doctune.gateway.upstreams import Answer

_OVERHEAD_BYTES = 512  # of an entry beside its text


@dataclass(frozen=True)
class _Entry:
    answer: Answer
    expires_at: float

    @property
    def size(self) -> int:
        # An upstream may send half a surrogate pair, which is no UTF-8.
        return len(self.answer.text.encode(errors="surrogatepass")) + _OVERHEAD_BYTES


class AnswerCache:
    """Answers by key; the least recently used are dropped first."""

    def __init__(self, options: CacheOptions, redis_url: str = "") -> None:
        """Creates an empty cache.

        Args:
            redis_url: Where processes share answers; "" keeps them in this process only.
        """
        self._shared: SharedAnswers | None = None
        if redis_url and options.max_mebibytes:
            self._shared = SharedAnswers(redis_url, options.seconds, options.wait_seconds)
        self._most_bytes = options.max_mebibytes << 20
        self._seconds, self._wait_seconds = options.seconds, options.wait_seconds
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._bytes = 0
        self._computing: dict[str, asyncio.Event] = {}

    async def get(self, key: str) -> Answer | None:
        """Returns the cached answer to a key, if there is one."""
        kept = self._own(key)
        if kept is None and self._shared is not None:
            kept = await self._shared.get(key)
        return kept

    def _own(self, key: str) -> Answer | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.expires_at <= time.monotonic():
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return entry.answer

    async def put(self, key: str, answer: Answer) -> None:
        """Caches an answer."""
        self._put_own(key, answer)
        if self._shared is not None:
            await self._shared.put(key, answer)

    async def close(self) -> None:
        """Closes the connections to Redis."""
        if self._shared is not None:
            await self._shared.close()

    def _put_own(self, key: str, answer: Answer) -> None:
        entry = _Entry(answer, time.monotonic() + self._seconds)
        if entry.size > self._most_bytes:
            return
        self._drop(key)
        self._entries[key] = entry
        self._bytes += entry.size
        while self._bytes > self._most_bytes:
            self._drop(next(iter(self._entries)))

    @contextlib.asynccontextmanager
    async def alone(self, key: str) -> AsyncIterator[None]:
        """Lets one request at a time compute the answer to a key.

        After `wait_seconds` a request no longer waits and computes it too.
        """
        if not await self._others_are_done(key):
            yield
            return
        event = self._computing[key] = asyncio.Event()
        shared = self._shared.alone(key) if self._shared else contextlib.nullcontext()
        try:
            async with shared:
                yield
        finally:
            del self._computing[key]
            event.set()

    async def _others_are_done(self, key: str) -> bool:
        try:
            async with asyncio.timeout(self._wait_seconds):
                while (event := self._computing.get(key)) is not None:
                    await event.wait()
        except TimeoutError:
            return False
        return True

    def _drop(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= entry.size


def cache_key(owner: str, chat: ChatRequest, versions: str) -> str | None:
    """Returns the key of a request; None where two answers to it may differ.

    Args:
        owner: The tenant: no tenant is answered from another's cache.
        versions: The versions in service, so that a new one never returns an old one's answer.
    """
    deterministic = not chat.temperature or chat.seed is not None
    if not deterministic or not versions:
        return None
    document = chat.model_dump(mode="json", exclude={"stream", "stream_options", "user"})
    return digest_value([owner, versions, document])


def cache_control(header: str) -> tuple[bool, bool]:
    """Returns whether the cache may be read, and whether it may be written."""
    directives = {part.strip().lower() for part in header.split(",")}
    return not directives & {"no-cache", "no-store"}, "no-store" not in directives
