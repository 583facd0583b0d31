"""A model that answers after a fixed time, for measuring what stands in front of it.

    python benchmarks/gateway_upstream.py PORT

It speaks OpenAI's wire, and Vertex AI's health and predict routes with the same bodies, so that the
local Vertex AI can run it as a serving container. It parses no JSON and prepares its answers
beforehand, so that the little that it costs is the same for all that are measured.
"""

import asyncio
import json
import os
import sys
from typing import Any

import httptools
import uvloop

LATENCY_SECONDS = 0.02
PIECES = 16
PIECE_SECONDS = 0.002
PROMPT_TOKENS = 64

_HEAD = {"id": "chatcmpl-mock", "created": 1, "model": "mock"}
_USAGE = {
    "prompt_tokens": PROMPT_TOKENS,
    "completion_tokens": PIECES,
    "total_tokens": PROMPT_TOKENS + PIECES,
}


def _whole() -> bytes:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": "water " * PIECES},
        "finish_reason": "stop",
    }
    body = json.dumps(
        {**_HEAD, "object": "chat.completion", "choices": [choice], "usage": _USAGE}
    ).encode()
    return _response("application/json", body)


def _response(kind: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _chunk(document: dict[str, Any] | None) -> bytes:
    data = b"[DONE]" if document is None else json.dumps(document).encode()
    event = b"data: " + data + b"\n\n"
    return f"{len(event):x}\r\n".encode() + event + b"\r\n"


def _delta(delta: dict[str, str], reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return _chunk({**_HEAD, "object": "chat.completion.chunk", "choices": [choice]})


_WHOLE = _whole()
_HEALTHY = _response("application/json", b'{"status": "ready"}')
_START = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    + _delta({"role": "assistant", "content": ""})
)
_PIECE = _delta({"content": "water "})
_END = (
    _delta({}, "stop")
    + _chunk({**_HEAD, "object": "chat.completion.chunk", "choices": [], "usage": _USAGE})
    + _chunk(None)
    + b"0\r\n\r\n"
)


class Upstream(asyncio.Protocol):
    """One connection; its requests come one after another."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Prepares to read."""
        self._transport: Any = transport
        self._parser = httptools.HttpRequestParser(self)
        self._loop = asyncio.get_running_loop()
        self._body = b""

    def data_received(self, data: bytes) -> None:
        """Reads."""
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        """Begins a request."""
        self._body = b""

    def on_body(self, data: bytes) -> None:
        """Takes a part of the body."""
        self._body += data

    def on_message_complete(self) -> None:
        """Answers, a fixed time later."""
        if self._parser.get_method() == b"GET":
            self._transport.write(_HEALTHY)
        elif b'"stream": true' in self._body or b'"stream":true' in self._body:
            self._loop.call_later(LATENCY_SECONDS, self._begin)
        else:
            self._loop.call_later(LATENCY_SECONDS, self._transport.write, _WHOLE)

    def _begin(self) -> None:
        self._transport.write(_START)
        self._piece(PIECES)

    def _piece(self, left: int) -> None:
        if self._transport.is_closing():
            return
        if not left:
            self._transport.write(_END)
            return
        self._transport.write(_PIECE)
        self._loop.call_later(PIECE_SECONDS, self._piece, left - 1)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1] if len(sys.argv) > 1 else os.environ["AIP_HTTP_PORT"])))
