"""Shared by all routes of the model server: body limits, admission, disconnected clients."""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence

from fastapi import Request
from starlette.requests import ClientDisconnect

from doctune.disconnects import ClientGoneError, while_client_waits
from doctune.inference.batching import QueueFullError, Ticket
from doctune.inference.completion import Completion
from doctune.serving.schema import RequestError


class Admission:
    """Limits the requests in progress, so that their bodies cannot fill the memory."""

    def __init__(self, most: int) -> None:
        self._most, self._inside = most, 0

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        """Holds a place among the requests in progress while the block runs.

        Raises:
            QueueFullError: No place is free.
        """
        if self._inside >= self._most:
            raise QueueFullError
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1


async def bounded_body(request: Request, limit: int) -> bytes:
    """Reads the body, up to little more than the limit.

    Raises:
        RequestError: The body is larger, or the client disconnected before its end.
    """
    body = bytearray()
    declared = request.headers.get("content-length", "")
    too_large = declared.isdigit() and int(declared) > limit
    if not too_large:
        try:
            async for chunk in request.stream():
                body += chunk
                if too_large := len(body) > limit:
                    break
        except ClientDisconnect as error:
            raise RequestError("the client is gone", 499) from error
    if too_large:
        raise RequestError(f"the body is larger than {limit} bytes", 413)
    return bytes(body)


async def answers_while_client_waits(
    request: Request, tickets: Sequence[Ticket]
) -> list[Completion]:
    """Waits for answers; cancels the request when the client disconnects.

    Raises:
        RequestError: The client disconnected.
    """

    async def answers() -> list[Completion]:
        return await asyncio.gather(*(asyncio.wrap_future(ticket.answer) for ticket in tickets))

    try:
        return await while_client_waits(request.receive, answers())
    except ClientGoneError as error:
        raise RequestError("the client is gone", 499) from error
    finally:
        for ticket in tickets:
            ticket.cancel()
