"""Gives every response an `x-request-id`, refusals and errors included."""

from __future__ import annotations

import uuid

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUEST_ID = "x-request-id"


def new_request_id() -> str:
    """Returns an id for a request that is not a prediction; those have ids of their own."""
    return f"req-{uuid.uuid4().hex}"


class RequestIds:
    """Middleware that adds the header unless the route did: an answer has its prediction's id."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs the application."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if REQUEST_ID not in headers:
                    headers[REQUEST_ID] = new_request_id()
            await send(message)

        await self._app(scope, receive, send_named)
