"""A trace of each request, sent by OTLP where the environment names a collector.

OpenTelemetry's own variables configure it (`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_SERVICE_NAME`,
`OTEL_TRACES_SAMPLER`, ...). A span follows the semantic conventions for generative AI and continues
the client's trace (`traceparent`). It holds no prompt, answer or key.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from doctune.errors import ConfigurationError

if TYPE_CHECKING:
    from doctune.gateway.records import Exchange

ENDPOINT_VARIABLES = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_SERVICE = "doctune-gateway"
_EXPORT_SECONDS = 5


class Traces:
    """Sends spans in batches, in a thread of its own; more than 2,048 waiting ones are dropped."""

    def __init__(self) -> None:
        """Starts the exporter.

        Raises:
            ConfigurationError: OpenTelemetry is not installed.
        """
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as error:
            raise ConfigurationError(
                "a collector of traces is configured (OTEL_EXPORTER_OTLP_ENDPOINT), but "
                "OpenTelemetry is not installed: pip install 'doctune[tracing]', or unset it."
            ) from error
        name = os.environ.get("OTEL_SERVICE_NAME", _SERVICE)
        self._provider = TracerProvider(
            resource=Resource.create({"service.name": name}), shutdown_on_exit=False
        )
        exporter = OTLPSpanExporter(timeout=_EXPORT_SECONDS)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("doctune.gateway")

    def record(self, exchange: Exchange) -> None:
        """Adds the span of a request that has ended."""
        from opentelemetry.trace import SpanKind, Status, StatusCode
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        parent = TraceContextTextMapPropagator().extract({"traceparent": exchange.traceparent})
        started = int(exchange.created_at.timestamp() * 1e9)
        span = self._tracer.start_span(
            f"chat {exchange.chat.model}",
            context=parent,
            kind=SpanKind.SERVER,
            attributes=_attributes(exchange),
            start_time=started,
        )
        if exchange.first_token_at is not None:
            waited = exchange.first_token_at - exchange.started
            span.add_event("first_token", timestamp=started + int(waited * 1e9))
        if exchange.status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        # By the monotonic clock: a step of the machine's clock makes no negative duration.
        span.end(started + int((time.monotonic() - exchange.started) * 1e9))

    def close(self) -> None:
        """Sends the waiting spans. Blocks, for seconds if the collector does not answer."""
        self._provider.shutdown()


def open_traces() -> Traces | None:
    """Returns the exporter of traces, or None if no collector is configured.

    Raises:
        ConfigurationError: One is, but OpenTelemetry is not installed.
    """
    return Traces() if any(map(os.environ.get, ENDPOINT_VARIABLES)) else None


def _attributes(exchange: Exchange) -> dict[str, Any]:
    chat, source = exchange.chat, exchange.source
    found: dict[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "doctune",
        "gen_ai.request.model": chat.model,
        "gen_ai.request.temperature": chat.temperature,
        "gen_ai.request.max_tokens": chat.limit,
        "gen_ai.request.seed": chat.seed,
        "gen_ai.response.id": exchange.id,
        "gen_ai.usage.input_tokens": exchange.prompt_tokens,
        "gen_ai.usage.output_tokens": exchange.completion_tokens,
        "http.response.status_code": exchange.status,
        "doctune.cache": exchange.cache,
        "doctune.fallback": exchange.fallback,
        "doctune.experiment": exchange.experiment,
        "doctune.arm": exchange.arm,
    }
    if exchange.finish_reason:
        found["gen_ai.response.finish_reasons"] = [exchange.finish_reason]
    if exchange.status >= 500:
        found["error.type"] = str(exchange.status)
    if source is not None:
        found["gen_ai.response.model"] = source.model_version or None
        found["doctune.upstream"] = source.upstream
        found["doctune.deployed_model"] = source.deployed_model_id or None
    return {name: value for name, value in found.items() if value is not None}
