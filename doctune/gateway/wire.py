"""The two shapes of answers: chat completions, and the older text completions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Protocol

from doctune.gateway.records import Exchange

_DONE = b"data: [DONE]\n\n"


class Wire(Protocol):
    """How an answer is written, whole or in events."""

    def whole(self, exchange: Exchange) -> dict[str, Any]:
        """Returns the body of a whole answer."""

    def start(self, exchange: Exchange) -> bytes:
        """Returns what a stream begins with."""

    def piece(self, exchange: Exchange, text: str) -> bytes:
        """Returns the event of a piece of text."""

    def end(self, exchange: Exchange) -> Iterator[bytes]:
        """Yields the last events: the reason, the counts where they were asked for, the mark."""


class ChatWire:
    """`chat.completion` and `chat.completion.chunk`."""

    def whole(self, exchange: Exchange) -> dict[str, Any]:
        """Returns the body of a whole answer."""
        message = {"role": "assistant", "content": exchange.text, "refusal": None}
        choice = {
            "index": 0,
            "message": message,
            "finish_reason": exchange.finish_reason,
            "logprobs": None,
        }
        return {
            **_head(exchange, "chat.completion"),
            "choices": [choice],
            "usage": _usage(exchange),
        }

    def start(self, exchange: Exchange) -> bytes:
        """Returns the event that names the role."""
        return self._event(exchange, {"role": "assistant", "content": ""})

    def piece(self, exchange: Exchange, text: str) -> bytes:
        """Returns the event of a piece of text."""
        return self._event(exchange, {"content": text})

    def end(self, exchange: Exchange) -> Iterator[bytes]:
        """Yields the last events."""
        yield self._event(exchange, {}, exchange.finish_reason or "stop")
        if exchange.chat.wants_usage:
            head = _head(exchange, "chat.completion.chunk")
            yield _sse({**head, "choices": [], "usage": _usage(exchange)})
        yield _DONE

    def _event(
        self, exchange: Exchange, delta: dict[str, str], finish_reason: str | None = None
    ) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
        return _sse({**_head(exchange, "chat.completion.chunk"), "choices": [choice]})


class TextWire:
    """`text_completion`, of `/v1/completions`."""

    def whole(self, exchange: Exchange) -> dict[str, Any]:
        """Returns the body of a whole answer."""
        return {
            **self._document(exchange, exchange.text, exchange.finish_reason),
            "usage": _usage(exchange),
        }

    def start(self, exchange: Exchange) -> bytes:
        """Returns nothing: text completions have no roles."""
        return b""

    def piece(self, exchange: Exchange, text: str) -> bytes:
        """Returns the event of a piece of text."""
        return _sse(self._document(exchange, text, None))

    def end(self, exchange: Exchange) -> Iterator[bytes]:
        """Yields the last events."""
        yield _sse(self._document(exchange, "", exchange.finish_reason or "stop"))
        if exchange.chat.wants_usage:
            head = _head(exchange, "text_completion")
            yield _sse({**head, "choices": [], "usage": _usage(exchange)})
        yield _DONE

    def _document(self, exchange: Exchange, text: str, reason: str | None) -> dict[str, Any]:
        choice = {"index": 0, "text": text, "finish_reason": reason, "logprobs": None}
        return {**_head(exchange, "text_completion"), "choices": [choice]}


def _head(exchange: Exchange, kind: str) -> dict[str, Any]:
    return {
        "id": exchange.id,
        "object": kind,
        "created": int(exchange.created_at.timestamp()),
        "model": exchange.chat.model,
    }


def _usage(exchange: Exchange) -> dict[str, int]:
    prompt, completion = exchange.prompt_tokens, exchange.completion_tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


def _sse(document: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(document, ensure_ascii=False).encode() + b"\n\n"
