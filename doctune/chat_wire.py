"""Answers in OpenAI's shape: `chat.completion`, its chunks as server-sent events, and errors."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

DONE = b"data: [DONE]\n\n"

_ERROR_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def event(document: Mapping[str, Any]) -> bytes:
    """Returns a document as a server-sent event."""
    return b"data: " + encoded(document) + b"\n\n"


def encoded(document: Mapping[str, Any] | str) -> bytes:
    """Returns a document as JSON."""
    try:
        return json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        # Half a surrogate pair, such as of an emoji that an upstream split over two events, is
        # passed on unchanged; the client joins the halves.
        return json.dumps(document).encode()


def usage_of(prompt_tokens: int, completion_tokens: int) -> dict[str, int]:
    """Returns the counts of tokens of a request."""
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


def error_document(message: str, status: int, param: str = "", code: str = "") -> dict[str, Any]:
    """Returns an error."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {
        "error": {
            "message": message,
            "type": _ERROR_TYPES.get(status, kind),
            "param": param or None,
            "code": code or None,
        }
    }


@dataclass(frozen=True)
class ChatAnswer:
    """The fields that all events of one answer share, or that its document has."""

    id: str
    created: int
    model: str

    def whole(
        self,
        text: str,
        finish_reason: str,
        usage: Mapping[str, int],
        calls: Sequence[Mapping[str, Any]] = (),
    ) -> dict[str, Any]:
        """Returns the body of a whole answer.

        Args:
            calls: The tools that it calls.
        """
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
        if calls:
            message |= {"content": text or None, "tool_calls": list(calls)}
        choice = {
            "index": 0,
            "message": message,
            "finish_reason": finish_reason,
            "logprobs": None,
        }
        return {**self._head("chat.completion"), "choices": [choice], "usage": usage}

    def start(self) -> bytes:
        """Returns the first event, which gives the role."""
        return self._chunk({"role": "assistant", "content": ""})

    def piece(self, text: str) -> bytes:
        """Returns the event of a piece of text."""
        before, after = self._around_a_piece
        return before + encoded(text) + after

    def calls(self, calls: Sequence[Mapping[str, Any]]) -> bytes:
        """Returns the event of the tools that an answer calls."""
        return self._chunk({"tool_calls": [{"index": at, **one} for at, one in enumerate(calls)]})

    def end(self, finish_reason: str, usage: Mapping[str, int] | None) -> Iterator[bytes]:
        """Yields the last events: `finish_reason`, token counts if requested, and `[DONE]`."""
        yield self._chunk({}, finish_reason)
        if usage is not None:
            yield event({**self._head("chat.completion.chunk"), "choices": [], "usage": usage})
        yield DONE

    @cached_property
    def _around_a_piece(self) -> tuple[bytes, bytes]:
        # Only the text differs between the events of a stream, so the rest is encoded once.
        before, _, after = self._chunk({"content": ""}).rpartition(b'""')
        return before, after

    def _chunk(self, delta: Mapping[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
        return event({**self._head("chat.completion.chunk"), "choices": [choice]})

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}
