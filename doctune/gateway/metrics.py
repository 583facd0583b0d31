"""The gateway's metrics, in Prometheus' format."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from doctune.gateway.records import Exchange
from doctune.knowledge.prompt import REFUSAL

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


def kind_of(text: str, extra: Mapping[str, Any]) -> str:
    """Returns what kind of answer a text is.

    Args:
        extra: What an agent answers beside OpenAI's fields.
    """
    if not text.strip():
        return "empty"
    if text.strip() == REFUSAL:
        return "refused"
    return "unsupported" if "sources" in extra and not extra["sources"] else "ok"


class Metrics:
    """The counters of one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        registry = self._registry
        self._requests = Counter(
            "doctune_gateway_requests",
            "Requests by model and status.",
            ["model", "status"],
            registry=registry,
        )
        self._tokens = Counter(
            "doctune_gateway_tokens",
            "Tokens by model and kind.",
            ["model", "kind"],
            registry=registry,
        )
        self._cache = Counter(
            "doctune_gateway_cache", "Cache results.", ["result"], registry=registry
        )
        self._fallbacks = Counter(
            "doctune_gateway_fallbacks",
            "Answers by another than the first upstream.",
            ["model"],
            registry=registry,
        )
        self._answers = Counter(
            "doctune_gateway_answers",
            "Answers by kind: ok, empty, refused, or unsupported where an agent names no source.",
            ["model", "kind"],
            registry=registry,
        )
        self._votes = Counter(
            "doctune_gateway_votes", "Votes of users: up or down.", ["vote"], registry=registry
        )
        self._duration = Histogram(
            "doctune_gateway_seconds",
            "Time to the whole answer.",
            ["model"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._first_token = Histogram(
            "doctune_gateway_first_token_seconds",
            "Time to the first token of a stream.",
            ["model"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.in_flight = Gauge(
            "doctune_gateway_in_flight", "Requests being answered.", registry=registry
        )
        self.log_waiting = Gauge(
            "doctune_gateway_log_waiting", "Predictions not yet written.", registry=registry
        )
        self.log_dropped = Gauge(
            "doctune_gateway_log_dropped",
            "Predictions lost, since too many waited.",
            registry=registry,
        )
        self.limits_degraded = Gauge(
            "doctune_gateway_limits_degraded", "1 while Redis is away.", registry=registry
        )

    def observe(self, exchange: Exchange) -> None:
        """Counts an exchange that has ended; its model must exist."""
        model = exchange.chat.model
        self.count_answer(model, exchange.status, kind_of(exchange.text, exchange.extra))
        self._tokens.labels(model, "prompt").inc(exchange.prompt_tokens)
        self._tokens.labels(model, "completion").inc(exchange.completion_tokens)
        self._cache.labels(exchange.cache).inc()
        if exchange.fallback:
            self._fallbacks.labels(model).inc()
        self._duration.labels(model).observe(time.monotonic() - exchange.started)
        if exchange.first_token_at is not None:
            self._first_token.labels(model).observe(exchange.first_token_at - exchange.started)

    def count_answer(self, model: str, status: int, kind: str) -> None:
        """Counts an answer by its status and, where there is one, by its kind."""
        self._requests.labels(model, str(status)).inc()
        if status == 200:
            self._answers.labels(model, kind).inc()

    def count_vote(self, vote: str) -> None:
        """Counts a user's rating of an answer: up or down."""
        self._votes.labels(vote).inc()

    def render(self) -> bytes:
        """Returns all metrics as text."""
        return generate_latest(self._registry)
