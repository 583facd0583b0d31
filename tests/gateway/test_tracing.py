"""Traces go to the collector that the environment names, without what was said."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from doctune.errors import ConfigurationError
from doctune.gateway.tracing import Traces, open_traces
from tests.gateway.conftest import start_gateway, stop_gateway
from tests.gateway.upstream import FakeUpstream

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
SECONDS = 20


@contextmanager
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """Takes what is sent to /v1/traces."""
    received: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.path == "/v1/traces":
                received.append(body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Stays silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", received
    finally:
        server.shutdown()
        thread.join(SECONDS)
        server.server_close()


def test_a_request_is_one_span_of_the_clients_trace_without_what_was_said(
    faulty: FakeUpstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    with collector() as (address, received):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        options = {"models": {"handbook": {"upstreams": [faulty.address]}}}
        gateway = start_gateway(tmp_path, options)
        try:
            header = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
            answer = gateway.chat(headers=header, temperature=0, seed=3)
            assert answer.status_code == 200
            deadline = time.monotonic() + SECONDS
            while not received and time.monotonic() < deadline:
                time.sleep(0.05)
        finally:
            stop_gateway(gateway)
    assert received, f"no trace came within {SECONDS} s"
    sent = ExportTraceServiceRequest.FromString(received[0])
    (span,) = [
        span
        for resource in sent.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    values = {one.key: one.value for one in span.attributes}
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert span.name == "chat handbook"
    assert values["gen_ai.response.id"].string_value == answer.headers["x-request-id"]
    assert values["gen_ai.usage.input_tokens"].int_value == 7
    assert values["gen_ai.usage.output_tokens"].int_value == 5
    assert values["http.response.status_code"].int_value == 200
    assert span.end_time_unix_nano > span.start_time_unix_nano
    for secret in (b"pump", gateway.key.encode()):
        assert all(secret not in body for body in received)


def test_without_a_collector_nothing_is_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", raising=False)
    assert open_traces() is None


def test_a_collector_without_the_packages_is_one_clear_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(ConfigurationError, match=r"doctune\[tracing\]"):
        Traces()
