"""Cancels work when the client that requested it disconnects."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any, TypeVar, cast

Result = TypeVar("Result")
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]  # ASGI's


class ClientGoneError(Exception):
    """The client has closed its connection, so nobody reads the answer."""


async def while_client_waits(receive: Receive, work: Coroutine[Any, Any, Result]) -> Result:
    """Awaits work whose request body has been read; cancels it when the client disconnects.

    Raises:
        ClientGoneError: The client disconnected.
    """
    worker = cast("asyncio.Task[Any]", asyncio.current_task())
    gone = False

    async def watch() -> None:
        nonlocal gone
        while (await receive())["type"] != "http.disconnect":
            pass
        gone = True
        worker.cancel()

    watcher = asyncio.ensure_future(watch())
    try:
        return await work
    except asyncio.CancelledError:
        if gone and not worker.uncancel():
            raise ClientGoneError from None
        raise
    finally:
        watcher.cancel()
