"""The two shapes of answers: chat completions, and the older text completions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from doctune.chat_wire import DONE, ChatAnswer, event, usage_of
from doctune.gateway.records import Exchange


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
    """`chat.completion` and `chat.completion.chunk`, of one exchange."""

    def __init__(self) -> None:
        self._known: ChatAnswer | None = None

    def whole(self, exchange: Exchange) -> dict[str, Any]:
        """Returns the body of a whole answer."""
        return self._answer(exchange).whole(exchange.text, exchange.finish_reason, _usage(exchange))

    def start(self, exchange: Exchange) -> bytes:
        """Returns the event that names the role."""
        return self._answer(exchange).start()

    def piece(self, exchange: Exchange, text: str) -> bytes:
        """Returns the event of a piece of text."""
        return self._answer(exchange).piece(text)

    def end(self, exchange: Exchange) -> Iterator[bytes]:
        """Yields the last events."""
        usage = _usage(exchange) if exchange.chat.wants_usage else None
        yield from self._answer(exchange).end(exchange.finish_reason or "stop", usage)

    def _answer(self, exchange: Exchange) -> ChatAnswer:
        if self._known is None:
            created = int(exchange.created_at.timestamp())
            self._known = ChatAnswer(exchange.id, created, exchange.chat.model)
        return self._known


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
        return event(self._document(exchange, text, None))

    def end(self, exchange: Exchange) -> Iterator[bytes]:
        """Yields the last events."""
        yield event(self._document(exchange, "", exchange.finish_reason or "stop"))
        if exchange.chat.wants_usage:
            head = _head(exchange, "text_completion")
            yield event({**head, "choices": [], "usage": _usage(exchange)})
        yield DONE

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


def _usage(exchange: Exchange) -> Mapping[str, int]:
    return usage_of(exchange.prompt_tokens, exchange.completion_tokens)
