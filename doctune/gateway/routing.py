"""Routes requests to the first healthy upstream, behind a bounded queue."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from doctune.breaker import Breaker
from doctune.chat_schema import ChatRequest
from doctune.gateway.options import ModelOptions
from doctune.gateway.problems import GatewayError
from doctune.gateway.upstreams import (
    Answer,
    Piece,
    RefusedError,
    Source,
    Upstream,
    UpstreamError,
)

if TYPE_CHECKING:
    from doctune.gateway.keys import Principal
    from doctune.gateway.records import Exchange
    from doctune.gateway.wire import Wire

_RETRY_SECONDS = 5.0


@dataclass(frozen=True)
class OpenStream:
    """A stream that has begun: its source, and all its pieces, the first one included."""

    source: Source
    pieces: AsyncIterator[Piece]
    fallback: bool


class Asked(Protocol):
    """What answers a request: a model, or an agent on behalf of the caller."""

    name: str

    def versions(self) -> str:
        """Returns a text that changes with the versions in service; "" if unknown."""

    def place(self) -> AbstractAsyncContextManager[None]:
        """Holds a place in the queue for the block."""

    async def ask(self, chat: ChatRequest) -> tuple[Answer, bool]:
        """Returns an answer, and whether it is a fallback's."""

    def stream(self, chat: ChatRequest) -> AbstractAsyncContextManager[OpenStream]:
        """Opens a stream whose first piece has come."""


class Model:
    """A model that clients can name."""

    def __init__(self, name: str, options: ModelOptions, upstreams: list[Upstream]) -> None:
        self.name = name
        self.created = int(time.time())
        self._options = options
        self._upstreams = upstreams
        self._breakers = [Breaker() for _ in upstreams]
        self._places = asyncio.Semaphore(options.max_in_flight)
        self._waiting = 0

    def versions(self) -> str:
        """Returns the versions in service; "" if unknown."""
        return self._upstreams[0].address.versions()

    async def refresh(self) -> None:
        """Checks that an upstream is available.

        Raises:
            UpstreamError: None is.
        """
        problem: UpstreamError | None = None
        for upstream in self._upstreams:
            try:
                await upstream.address.target(False)
                return
            except UpstreamError as error:
                problem = error
        if problem is not None:
            raise problem

    def bound(self, exchange: Exchange) -> Asked:
        """Returns the model as one exchange asks it."""
        return self

    def wire(self, wire: Wire) -> Wire:
        """Returns the wire on which it answers."""
        return wire

    async def picture(self, source_id: str, principal: Principal) -> bytes | None:
        """Returns the picture of a source's page; None where there is no such source."""
        return None

    def warm_up(self) -> None:
        """Loads what would delay the first question. May block."""

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Holds one of the model's places for the block, after a bounded wait.

        Raises:
            GatewayError: 503: too many requests wait, or no place becomes free in time.
        """
        options = self._options
        if self._places.locked():
            if self._waiting >= options.max_waiting:
                raise _unavailable("too many requests are waiting", "queue_full", 1.0)
            self._waiting += 1
            try:
                async with asyncio.timeout(options.queue_seconds):
                    await self._places.acquire()
            except TimeoutError as error:
                raise _unavailable("no place became free in time", "queue_timeout", 1.0) from error
            finally:
                self._waiting -= 1
        else:
            await self._places.acquire()
        try:
            yield
        finally:
            self._places.release()

    async def ask(self, chat: ChatRequest) -> tuple[Answer, bool]:
        """Returns an answer, and whether it is a fallback's.

        Raises:
            GatewayError: No upstream answers, or the request is refused.
        """
        waiting = self._usable()
        running: dict[asyncio.Task[Answer | None], int] = {}
        try:
            while waiting or running:
                if waiting:
                    number, upstream = waiting.pop(0)
                    running[asyncio.create_task(self._tried(number, upstream, chat))] = number
                patience = self._options.hedge_seconds if waiting else None
                done, _ = await asyncio.wait(
                    running, timeout=patience, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    number = running.pop(task)
                    if (answer := task.result()) is not None:
                        return answer, number > 0
        finally:
            # Cancelled requests close their connections, so that upstreams stop working on them.
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        raise self._nobody()

    async def _tried(self, number: int, upstream: Upstream, chat: ChatRequest) -> Answer | None:
        """Returns an upstream's answer, or None if it gives none in time.

        Raises:
            GatewayError: The request is refused.
        """
        breaker = self._breakers[number]
        try:
            async with asyncio.timeout(self._options.first_token_seconds):
                answer = await upstream.ask(chat)
        except RefusedError as error:
            breaker.succeeded()
            raise _refused(error) from error
        except (UpstreamError, TimeoutError):
            breaker.failed()
            return None
        breaker.succeeded()
        return answer

    @asynccontextmanager
    async def stream(self, chat: ChatRequest) -> AsyncIterator[OpenStream]:
        """Opens a stream whose first piece has come, so that nothing was sent if it fails.

        Raises:
            GatewayError: As `ask`.

        The pieces raise UpstreamError where the stream breaks off.
        """
        for number, upstream in self._usable():
            breaker = self._breakers[number]
            async with AsyncExitStack() as stack:
                try:
                    async with asyncio.timeout(self._options.first_token_seconds):
                        source, pieces = await stack.enter_async_context(upstream.stream(chat))
                        first = await anext(pieces)
                except RefusedError as error:
                    breaker.succeeded()
                    raise _refused(error) from error
                except (UpstreamError, TimeoutError, StopAsyncIteration):
                    breaker.failed()
                    continue
                yield OpenStream(source, _watched(first, pieces, breaker), number > 0)
                return
        raise self._nobody()

    def _usable(self) -> list[tuple[int, Upstream]]:
        closed = [
            (number, upstream)
            for number, upstream in enumerate(self._upstreams)
            if not self._breakers[number].open
        ]
        return closed

    def _nobody(self) -> GatewayError:
        return _unavailable(f"the model {self.name} cannot be reached", "upstream_unavailable")


async def _watched(
    first: Piece, rest: AsyncIterator[Piece], breaker: Breaker
) -> AsyncIterator[Piece]:
    try:
        yield first
        async for piece in rest:
            yield piece
    except UpstreamError:
        breaker.failed()
        raise
    breaker.succeeded()


def _refused(error: RefusedError) -> GatewayError:
    return GatewayError(
        error.status, str(error), param=error.param, code=error.code or "invalid_request"
    )


def _unavailable(why: str, code: str, wait: float = _RETRY_SECONDS) -> GatewayError:
    message = f"No answer can be given now: {why}. Try again in {round(wait)} s."
    return GatewayError(503, message, code=code, retry_after=wait)
