"""What is seen of a running service: its log by version, and two looks at its metrics."""

import json
import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typer.testing import CliRunner

from doctune.capacity.scrape import glance, parse
from doctune.capacity.served import served
from doctune.cli import app, endpoint_status
from doctune.errors import DeploymentError
from doctune.gateway.metrics import Metrics
from doctune.vertex.variants import ServingMachine, Variant


@dataclass
class Row:
    model_version: str | None = "projects/p/locations/l/models/m@2"
    status: int = 200
    first_token_ms: float | None = 200.0
    total_ms: float = 1000.0
    completion_tokens: int = 30
    cache: str = "miss"


def test_versions_are_told_apart_and_cached_answers_are_nobodys() -> None:
    rows = [Row()] * 30 + [Row(status=502)] * 2 + [Row(cache="hit")] * 9 + [Row(status=429)]
    rows += [Row(model_version="projects/p/locations/l/models/m@1", total_ms=20_000)] * 25
    two, one = served(rows, 60)
    assert (two.requests, two.requests_a_minute) == (32, 32)
    assert two.error_rate == pytest.approx(2 / 32)
    assert (two.first_token.p50, two.whole.p99) == (0.2, 1.0)
    assert two.alerts == ("6% errors: docs/runbook.md#errors",)
    assert one.alerts == ("p99 20.0 s: docs/runbook.md#latency",)
    assert served([Row(status=500)], 60)[0].alerts == ()  # one request says nothing


SERVER = """# TYPE doctune_server_requests counter
doctune_server_requests_total{{route="/predict",status="200"}} {ok}
doctune_server_requests_total{{route="/predict",status="503"}} {bad}
# TYPE doctune_server_tokens counter
doctune_server_tokens_total{{kind="completion"}} {tokens}
doctune_server_tokens_total{{kind="prompt"}} {prompt}
doctune_server_tokens_total{{kind="reused"}} {reused}
# TYPE doctune_server_steps counter
doctune_server_steps_total {steps}
# TYPE doctune_server_rows counter
doctune_server_rows_total {rows}
# TYPE doctune_server_first_token_seconds histogram
doctune_server_first_token_seconds_bucket{{le="0.5"}} {ok}
doctune_server_first_token_seconds_bucket{{le="+Inf"}} {ok}
doctune_server_first_token_seconds_count {ok}
doctune_server_first_token_seconds_sum {ok}
# TYPE doctune_server_waiting gauge
doctune_server_waiting 3
"""


def page(**values: float) -> str:
    names = ("ok", "bad", "tokens", "prompt", "reused", "steps", "rows")
    return SERVER.format(**{**dict.fromkeys(names, 0), **values})


def test_two_looks_give_rates() -> None:
    before = parse(page(ok=10, tokens=100, steps=10, rows=10))
    later = page(ok=30, bad=2, tokens=500, prompt=100, reused=40, steps=60, rows=210)
    seen = glance(before, parse(later), 10)
    assert (seen.service, seen.requests, seen.errors, seen.tokens) == ("server", 2.2, 0.2, 40)
    assert (seen.batch, seen.reused, seen.waiting) == (4, 0.4, 3)
    assert seen.first_token_p50 == 0.25
    assert math.isnan(seen.memory_mb)


def test_a_service_that_began_again_is_counted_from_there() -> None:
    seen = glance(parse(page(tokens=900)), parse(page(tokens=50)), 10)
    assert seen.tokens == 5


def test_watch_prints_a_line_for_each_look(monkeypatch) -> None:
    pages = iter([Metrics().render().decode(), page(), page(ok=4)])
    monkeypatch.setattr(endpoint_status, "_look", lambda _: parse(next(pages)))
    ran = CliRunner().invoke(
        app, ["watch", "http://x", "--interval", "0.2", "--count", "2", "--json"]
    )
    assert ran.exit_code == 0, ran.output
    last = json.loads(ran.stdout.splitlines()[-1])
    assert 10 < last["requests"] < 21
    assert last["cache"] is None


def test_an_endpoint_is_one_screen(capsys: pytest.CaptureFixture[str]) -> None:
    version = "projects/p/locations/l/models/m@2"
    variant = Variant("1", version, 100, "m@2", ServingMachine(max_replica_count=2))
    endpoint_status._show("handbook", (variant,), served([Row()] * 30, 3600), ["tone (running)"])
    shown = capsys.readouterr().out
    assert "m@2" in shown
    assert "100%" in shown
    assert "1-2 x n1-standard-4" in shown
    assert "0.20 / 0.20 s" in shown
    assert "tone (running)" in shown


@pytest.fixture
def service() -> Iterator[str]:
    """A service that shows metrics at /metrics, and nothing elsewhere."""

    class Service(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/metrics" else 404)
            self.end_headers()
            self.wfile.write(page(ok=4).encode() if self.path == "/metrics" else b"")

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_watch_reads_the_metrics_of_an_address(service: str) -> None:
    ran = CliRunner().invoke(app, ["watch", service, "--interval", "0.2", "--count", "1", "--json"])
    assert ran.exit_code == 0, ran.output
    assert json.loads(ran.stdout.splitlines()[-1])["requests"] == 0


@pytest.mark.parametrize(("path", "said"), [("/elsewhere", "404"), (":1", "shows no metrics")])
def test_an_address_without_metrics_is_one_clear_error(service: str, path: str, said: str) -> None:
    ran = CliRunner().invoke(app, ["watch", f"{service}{path}", "--count", "1"])
    assert isinstance(ran.exception, DeploymentError)
    assert said in str(ran.exception)
