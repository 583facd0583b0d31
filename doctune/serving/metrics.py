"""The server's metrics in Prometheus' format: requests, tokens, waits, batch, cache, memory."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import psutil
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from doctune.inference.batching import Ticket
    from doctune.inference.completion import Completion
    from doctune.serving.engine import Engine

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_TOKEN_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_App = Callable[[_Message, _Receive, _Send], Awaitable[None]]


class ServerMetrics:
    """The counters of one server."""

    def __init__(self, engine: Callable[[], Engine | None], problem: Callable[[], str]) -> None:
        """
        Args:
            engine: Returns the engine once it is loaded.
            problem: Returns why the server cannot answer; "" if it can.
        """
        self._registry = CollectorRegistry()
        registry = self._registry
        self._requests = Counter(
            "doctune_server_requests",
            "Requests by route and status.",
            ["route", "status"],
            registry=registry,
        )
        self._duration = Histogram(
            "doctune_server_seconds",
            "Time to the whole answer.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._first_token = Histogram(
            "doctune_server_first_token_seconds",
            "Time from the queue to the first token.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._queue = Histogram(
            "doctune_server_queue_seconds",
            "Time in the queue.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._token = Histogram(
            "doctune_server_token_seconds",
            "Mean time between the tokens of an answer.",
            buckets=_TOKEN_SECONDS,
            registry=registry,
        )
        self._answers = Counter(
            "doctune_server_answers",
            "Answers by how they ended: stop, length, failed or cancelled.",
            ["end"],
            registry=registry,
        )
        registry.register(_EngineCollector(engine, problem))

    def observe_request(self, route: str, status: int, seconds: float) -> None:
        """Counts a request that has been answered."""
        self._requests.labels(route, str(status)).inc()
        self._duration.labels(route).observe(seconds)

    def observe_ticket(self, ticket: Ticket, answer: Future[Completion]) -> None:
        """Counts an answer that has ended, however it ended."""
        if ticket.started is not None:
            self._queue.observe(ticket.started - ticket.queued)
        if ticket.first_token is not None:
            self._first_token.observe(ticket.first_token - ticket.queued)
        if answer.cancelled():
            self._answers.labels("cancelled").inc()
            return
        if answer.exception() is not None:
            self._answers.labels("failed").inc()
            return
        completion = answer.result()
        self._answers.labels(completion.finish_reason).inc()
        if ticket.first_token is not None and completion.completion_tokens > 1:
            since = time.monotonic() - ticket.first_token
            self._token.observe(since / (completion.completion_tokens - 1))

    def render(self) -> bytes:
        """Returns all metrics as text."""
        return generate_latest(self._registry)


class _EngineCollector(Collector):
    """Reads the batcher's counters when metrics are collected."""

    def __init__(self, engine: Callable[[], Engine | None], problem: Callable[[], str]) -> None:
        self._engine, self._problem = engine, problem
        self._process = psutil.Process()

    def collect(self) -> Iterator[Metric]:
        """Yields the current values."""
        yield _gauge("ready", "1 while the server can answer.", float(not self._problem()))
        memory = self._process.memory_info().rss
        yield _gauge("memory_bytes", "Resident memory of the server.", memory)
        engine = self._engine()
        if engine is None:
            return
        state, counts = engine.state(), engine.state().counts
        yield _gauge("waiting", "Requests in the queue.", state.waiting)
        yield _gauge("running", "Requests that are being answered.", state.running)
        yield _gauge(
            "silent_seconds", "Time since the last token while there is work.", state.silent_seconds
        )
        yield _gauge("cache_tokens", "Tokens in the key-value cache.", state.cached_tokens)
        yield _gauge("cache_bytes", "Bytes of these tokens.", state.cache_bytes)
        yield _gauge("cache_budget_bytes", "Most bytes of the cache.", state.cache_budget)
        tokens = CounterMetricFamily(
            "doctune_server_tokens",
            "Tokens by kind; reused are those of prompts that were not read again.",
            labels=["kind"],
        )
        tokens.add_metric(["prompt"], counts.prompt_tokens)
        tokens.add_metric(["reused"], counts.reused_tokens)
        tokens.add_metric(["completion"], counts.completion_tokens)
        yield tokens
        yield _counter("steps", "Passes that gave each row a token.", counts.steps)
        yield _counter("rows", "Rows of these passes; rows / steps is the batch.", counts.rows)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"doctune_server_{name}", text, value=value)


def _counter(name: str, text: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(f"doctune_server_{name}", text, value=value)


class Measured:
    """ASGI middleware that counts answers by route and status."""

    def __init__(self, app: _App, metrics: ServerMetrics, routes: tuple[str, ...]) -> None:
        """
        Args:
            routes: Paths to count separately. Counting arbitrary paths would fill the memory.
        """
        self._app, self._metrics, self._routes = app, metrics, frozenset(routes)

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Passes a request on, and counts its answer once it is sent."""
        route = scope.get("path")
        if scope["type"] != "http" or route not in self._routes:
            await self._app(scope, receive, send)
            return
        started, status = time.monotonic(), 500

        async def watched(message: _Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            self._metrics.observe_request(route, status, time.monotonic() - started)
