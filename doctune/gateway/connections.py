"""Connection limits that uvicorn lacks: slow clients, endless headers, unread answers."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 64 << 10

_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)

logger = logging.getLogger("doctune.gateway")


def bounded_protocol(head_seconds: float, unread_seconds: float) -> type[BoundedProtocol]:
    """Returns uvicorn's protocol class with time limits.

    Args:
        head_seconds: For the headers, from the first byte or, before one comes, from connecting.
        unread_seconds: For a client to go on reading its answer.
    """
    limits = {"head_seconds": head_seconds, "unread_seconds": unread_seconds}
    return type("LimitedProtocol", (BoundedProtocol,), limits)


class BoundedProtocol(HttpToolsProtocol):
    """Closes connections whose client sends too slowly or too much, or stops reading."""

    head_seconds: float
    unread_seconds: float

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head_timer: asyncio.TimerHandle | None = None
        self._unread_timer: asyncio.TimerHandle | None = None
        self._head_bytes: int | None = 0  # of a head that has not ended; None within a body

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the timer for the first request's headers."""
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Parses data; headers that exceed the limit are refused."""
        seen = -1
        if self._head_bytes is not None:
            self._head_bytes = seen = self._head_bytes + len(data)
            if self._head_timer is None:
                self._await_head()
        super().data_received(data)
        # Where parsing has ended the head, the rest was a body, which is bounded elsewhere.
        if self._head_bytes == seen > HEAD_BYTES:
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def on_message_begin(self) -> None:
        """Starts the timer for a request's headers, also if it was pipelined."""
        super().on_message_begin()
        if self._head_bytes is None:
            self._head_bytes = 0
            self._await_head()

    def on_headers_complete(self) -> None:
        """Stops the timer: the headers are complete."""
        self._head_bytes = None
        self._cancel_timers(unread=False)
        super().on_headers_complete()

    def pause_writing(self) -> None:
        """Starts the timer for a client that does not read."""
        super().pause_writing()
        if self._unread_timer is None:
            self._unread_timer = self.loop.call_later(self.unread_seconds, self._give_up, "unread")

    def resume_writing(self) -> None:
        """Stops that timer."""
        super().resume_writing()
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancels all timers."""
        self._cancel_timers()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(self.head_seconds, self._give_up, "slow")

    def _cancel_timers(self, *, unread: bool = True) -> None:
        for timer in (self._head_timer, self._unread_timer if unread else None):
            if timer is not None:
                timer.cancel()
        self._head_timer = None
        if unread:
            self._unread_timer = None

    def _give_up(self, why: str) -> None:
        logger.info("A connection is closed: its client was too slow (%s)", why)
        self.transport.abort()
