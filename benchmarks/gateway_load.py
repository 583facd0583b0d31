"""Chat completions asked over many connections at once, each asking again once it is answered."""

import asyncio
import json
import math
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httptools
import uvloop

PROMPT = "How often is the filter of the pump cleaned, and what is it cleaned with? " * 4
MAX_TOKENS = 32

_REQUEST_SECONDS = 60.0
_WORD = b"water"  # what the answers of `gateway_upstream.py` consist of


@dataclass
class Load:
    """What a load saw."""

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)  # of what was answered, in seconds
    first_words: list[float] = field(default_factory=list)  # until the first word of each came
    broken: int = 0  # connections that ended or answers that were no answers

    @property
    def answered(self) -> int:
        """How many requests were answered 200."""
        return self.statuses[200]

    @property
    def failed(self) -> int:
        """How many were not."""
        return self.broken + sum(self.statuses.values()) - self.answered

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answered / self.seconds


def request_bytes(url: str, key: str, model: str, stream: bool) -> bytes:
    """Returns a request as it goes over the wire; it is never the same answer from a cache."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [
            {"role": "system", "content": "You answer briefly."},
            {"role": "user", "content": PROMPT},
        ],
        "temperature": 0.7,
        "max_tokens": MAX_TOKENS,
        "stream": stream,
    }
    content = json.dumps(body).encode()
    parts = urlsplit(url)
    head = (
        f"POST {parts.path}/chat/completions HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"Authorization: Bearer {key}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def run_load(
    url: str,
    key: str,
    model: str,
    *,
    connections: int,
    stream: bool = False,
    seconds: float | None = None,
    requests: int | None = None,
) -> Load:
    """Asks for a time, or so often, and returns what came back.

    Args:
        url: As an OpenAI client takes it, `/v1` included.
    """
    load = Load()
    request = request_bytes(url, key, model, stream)
    uvloop.run(_run(load, url, request, connections, seconds, requests))
    return load


async def _run(
    load: Load,
    url: str,
    request: bytes,
    connections: int,
    seconds: float | None,
    requests: int | None,
) -> None:
    started = time.perf_counter()
    until = started + seconds if seconds is not None else float("inf")
    left = [requests if requests is not None else 1 << 62]

    async def one() -> None:
        client = await _connected(url)
        while time.perf_counter() < until and left[0] > 0:
            left[0] -= 1
            before = time.perf_counter()
            try:
                async with asyncio.timeout(_REQUEST_SECONDS):
                    status = await client.ask(request)
            except (ConnectionError, TimeoutError, httptools.HttpParserError):
                load.broken += 1
                client.close()
                client = await _connected(url)
                continue
            load.statuses[status] += 1
            if status == 200:
                load.latencies.append(time.perf_counter() - before)
                load.first_words.append(client.first_word_at - before)
        client.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    load.seconds = time.perf_counter() - started


async def _connected(url: str) -> "_Client":
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(_Client, parts.hostname, parts.port)
    return client


class _Client(asyncio.Protocol):
    """One connection that is kept."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._answer: asyncio.Future[int] | None = None
        self._tail = b""
        self.first_word_at = float("nan")

    async def ask(self, request: bytes) -> int:
        """Sends a request and returns the status once the whole answer is there."""
        if self._transport.is_closing():
            raise ConnectionError
        self._parser = httptools.HttpResponseParser(self)
        self._answer = asyncio.get_running_loop().create_future()
        self._tail = b""
        self.first_word_at = float("nan")
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._end(error)

    def connection_lost(self, error: Exception | None) -> None:
        self._end(error if isinstance(error, ConnectionError) else ConnectionError())

    def on_body(self, data: bytes) -> None:
        if math.isnan(self.first_word_at) and _WORD in data:
            self.first_word_at = time.perf_counter()
        self._tail = (self._tail + data)[-64:]

    def on_message_complete(self) -> None:
        if self._answer is not None and not self._answer.done():
            status = self._parser.get_status_code()
            whole = self._tail.rstrip().endswith((b"}", b"[DONE]"))
            # An answer that was cut counts as one that failed.
            self._answer.set_result(status if whole else 599)

    def _end(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
