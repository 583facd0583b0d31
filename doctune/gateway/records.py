"""Builds the log row of a request."""

from __future__ import annotations

import hashlib
import hmac
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from doctune.chat_schema import ChatRequest
from doctune.database.exposures import FAILED, FALLBACK, FORCED, GIVEN
from doctune.database.ids import new_id
from doctune.experiments.assignment import unit_of
from doctune.feedback.redaction import Redactor
from doctune.gateway.keys import Principal
from doctune.gateway.options import LogOptions
from doctune.gateway.prediction_log import Row
from doctune.gateway.upstreams import Answer, Source


@dataclass
class Exchange:
    """A request and its answer: what the log will record, collected along the way."""

    principal: Principal
    chat: ChatRequest
    id: str = field(default_factory=new_id)
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    started: float = field(default_factory=time.monotonic)
    first_token_at: float | None = None
    text: str = ""
    finish_reason: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    source: Source | None = None
    fallback: bool = False
    cache: str = "off"
    status: int = 500
    end_user: str | None = None  # as it is kept
    traceparent: str = ""  # of the client's trace
    # What agents answer beside OpenAI's fields: sources, who answered, the conversation.
    extra: Mapping[str, Any] = field(default_factory=dict)
    unit: str | None = None
    experiment: str | None = None
    arm: str | None = None
    forced: bool = False
    exposure: str | None = None  # where it is known beforehand

    def take(self, answer: Answer) -> None:
        """Records a complete answer."""
        self.text, self.finish_reason = answer.text, answer.finish_reason
        self.prompt_tokens = answer.prompt_tokens
        self.completion_tokens = answer.completion_tokens
        self.source, self.extra = answer.source, answer.extra

    def note_first_token(self) -> None:
        """Records when the first token arrived."""
        if self.first_token_at is None:
            self.first_token_at = time.monotonic()


def exposure_of(exchange: Exchange) -> str | None:
    """Returns what became of a request that an arm was to answer; None where that says nothing.

    A client that left, or whose request was refused, is nobody's success or failure.
    """
    if exchange.arm is None:
        return None
    if exchange.forced:
        return FORCED
    if exchange.status == 200:
        return FALLBACK if exchange.fallback else GIVEN
    return FAILED if exchange.status >= 500 else None


class Recorder:
    """Builds rows according to the log settings."""

    def __init__(self, options: LogOptions, user_key: bytes) -> None:
        """Prepares redaction.

        Args:
            user_key: The key that end users' names are hashed with.
        """
        self._options = options
        self._redactor = Redactor(options.redact_patterns)
        self._user_key = user_key

    def end_user(self, name: str | None) -> str | None:
        """Returns an end user's name as it is stored."""
        if not name or not self._options.hash_end_users:
            return name or None
        return hmac.new(self._user_key, name.encode(), hashlib.sha256).hexdigest()

    def text(self, text: str | None) -> str | None:
        """Returns a user's text as it is stored, or None if content is not logged."""
        if text is None or self._options.content == "off":
            return None
        return self._redactor.redact(text) if self._options.content == "redacted" else text

    def row(self, exchange: Exchange) -> Row:
        """Returns the row of an exchange that has ended."""
        chat, source = exchange.chat, exchange.source
        messages, answer = self._content(exchange)
        metadata = chat.metadata or {}
        first = exchange.first_token_at
        return {
            "created_at": exchange.created_at,
            "id": exchange.id,
            "key_id": exchange.principal.id,
            "owner": exchange.principal.owner,
            "end_user": self.end_user(chat.user),
            "conversation_id": metadata.get("conversation_id", "")[:64] or None,
            "model": chat.model,
            "model_version": source.model_version if source else None,
            "deployed_model_id": source.deployed_model_id if source else None,
            "upstream": source.upstream if source else None,
            "messages": messages,
            "parameters": chat.model_dump(
                mode="json", exclude_none=True, exclude={"messages", "model", "user"}
            ),
            "answer": answer,
            "finish_reason": exchange.finish_reason or None,
            "prompt_tokens": exchange.prompt_tokens,
            "completion_tokens": exchange.completion_tokens,
            "first_token_ms": (first - exchange.started) * 1000 if first is not None else None,
            "total_ms": (time.monotonic() - exchange.started) * 1000,
            "status": exchange.status,
            "cache": exchange.cache,
            "experiment": exchange.experiment,
            "arm": exchange.arm,
            "sources": exchange.extra.get("sources"),
            "unit": exchange.unit,
            "exposure": exchange.exposure or exposure_of(exchange),
        }

    def unit(self, exchange: Exchange) -> str:
        """Returns who is assigned to an arm, by the name that the log keeps."""
        chat, principal = exchange.chat, exchange.principal
        conversation = (chat.metadata or {}).get("conversation_id", "")[:64]
        return unit_of(principal.owner, principal.id, exchange.end_user, conversation)

    def _content(self, exchange: Exchange) -> tuple[list[Any] | None, str | None]:
        kind = self._options.content
        sampled_out = kind == "sampled" and random.random() >= self._options.sample_share  # noqa: S311 - no secret
        if kind == "off" or sampled_out:
            return None, None
        messages, answer = exchange.chat.conversation(), exchange.text
        if kind == "redacted":
            redact = self._redactor.redact
            messages = [{**turn, "content": redact(turn["content"])} for turn in messages]
            answer = redact(answer)
        # Postgres keeps no zero characters.
        clean = [{**turn, "content": turn["content"].replace("\0", "")} for turn in messages]
        return clean, answer.replace("\0", "")
