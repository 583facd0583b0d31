"""One streamed question, timed."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from doctune.capacity.targets import Call
from doctune.vertex.http_session import proxy_for

Message = dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One request as its user experienced it; times are in seconds since the load began."""

    due: float  # when the user asked; waiting for a connection counts
    first_token: float | None = None
    ended: float
    prompt_tokens: int = 0
    completion_tokens: int = 0
    error: str = ""  # what went wrong, such as "429" or "TimeoutError"

    @property
    def ok(self) -> bool:
        """Whether it was answered."""
        return not self.error

    @property
    def ttft(self) -> float:
        """Seconds to the first token, or to the end of an answer without text."""
        return (self.ended if self.first_token is None else self.first_token) - self.due

    @property
    def e2e(self) -> float:
        """Seconds to the last token."""
        return self.ended - self.due

    @property
    def per_token(self) -> float | None:
        """Mean seconds between two tokens; None if there is only one."""
        if self.first_token is None or self.completion_tokens < 2:
            return None
        return (self.ended - self.first_token) / (self.completion_tokens - 1)


@dataclass
class _Reading:
    first_token: float | None = None
    pieces: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    error: str = "cut off"


async def ask(
    session: aiohttp.ClientSession,
    call: Call,
    messages: Sequence[Message],
    *,
    due: float,
    origin: float,
    max_tokens: int,
    timeout: float,
) -> Sample:
    """Asks a question and reads the stream to its end; never raises for a server's failure.

    Args:
        due: The scheduled time of the request, in seconds after `origin`.
        origin: The start of the load, by `time.perf_counter`.
    """
    body = {
        "model": call.model,
        "messages": list(messages),
        "max_tokens": max_tokens,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    reading = _Reading()
    try:
        async with session.post(
            call.url,
            json=body,
            headers=call.headers,
            proxy=proxy_for(call.url),
            timeout=aiohttp.ClientTimeout(total=timeout),
        ) as response:
            if response.status != 200:
                reading.error = str(response.status)
            else:
                await _read(response, reading, origin)
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        reading.error = type(error).__name__
    return Sample(
        due=due,
        first_token=reading.first_token,
        ended=time.perf_counter() - origin,
        prompt_tokens=reading.prompt_tokens,
        completion_tokens=reading.completion_tokens or reading.pieces,
        error=reading.error,
    )


async def _read(response: aiohttp.ClientResponse, reading: _Reading, origin: float) -> None:
    async for document in _documents(response):
        if "error" in document:
            reading.error = "error within the stream"
            return
        usage = document.get("usage") or {}
        reading.prompt_tokens = usage.get("prompt_tokens") or reading.prompt_tokens
        reading.completion_tokens = usage.get("completion_tokens") or reading.completion_tokens
        for choice in document.get("choices") or ():
            if choice.get("delta", {}).get("content"):
                reading.pieces += 1
                if reading.first_token is None:
                    reading.first_token = time.perf_counter() - origin
            if choice.get("finish_reason"):
                reading.error = ""


async def _documents(response: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
    rest = b""
    async for block in response.content.iter_any():
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            if line.startswith(b"data:") and (data := line[5:].strip()) != b"[DONE]":
                yield json.loads(data)
