"""What the running server counts, and its probes."""

import http.client
import json

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from doctune.serving.metrics import ServerMetrics
from doctune.serving.readiness import Readiness
from tests.serving.conftest import Server
from tests.waiting import wait_for


def counted(server: Server) -> dict[str, float]:
    """Returns all samples by name and labels, as in `name{label="value"}`."""
    text = httpx.get(f"{server.url}/metrics").text
    return {
        f"{sample.name}{json.dumps(sample.labels) if sample.labels else ''}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def grown(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    return {n: v - before.get(n, 0.0) for n, v in after.items() if v != before.get(n, 0.0)}


def test_counts_requests_tokens_waits_and_batches(server: Server) -> None:
    before = counted(server)
    body = {"instances": [{"prompt": "How?"}] * 3, "parameters": {"max_new_tokens": 5}}
    answers = server.predict(body).json()["predictions"]
    assert server.predict({"instances": []}).status_code == 400
    after = counted(server)
    more = grown(before, after)
    assert more['doctune_server_requests_total{"route": "/predict", "status": "200"}'] == 1
    assert more['doctune_server_requests_total{"route": "/predict", "status": "400"}'] == 1
    tokens = {kind: f'doctune_server_tokens_total{{"kind": "{kind}"}}' for kind in ("prompt",)}
    assert more[tokens["prompt"]] == sum(answer["prompt_tokens"] for answer in answers)
    completion = more['doctune_server_tokens_total{"kind": "completion"}']
    assert completion == sum(answer["completion_tokens"] for answer in answers)
    assert more["doctune_server_first_token_seconds_count"] == 3
    assert more["doctune_server_queue_seconds_count"] == 3
    assert more["doctune_server_rows_total"] >= completion
    assert 1 <= more["doctune_server_rows_total"] / more["doctune_server_steps_total"] <= 3
    assert after["doctune_server_ready"] == 1
    assert after["doctune_server_memory_bytes"] > 1e8
    assert after["doctune_server_waiting"] == 0
    assert after["doctune_server_cache_budget_bytes"] > 0


def test_a_client_that_leaves_is_counted_as_cancelled(server: Server) -> None:
    name = 'doctune_server_answers_total{"end": "cancelled"}'
    before = counted(server).get(name, 0)
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"))
    chat = {"messages": [{"role": "user", "content": "valve"}], "max_tokens": 90, "stream": True}
    connection.request("POST", "/v1/chat/completions", json.dumps(chat))
    connection.getresponse().read(20)
    connection.close()
    wait_for(lambda: counted(server).get(name, 0) == before + 1, what="the cancelled answer")


def test_paths_of_strangers_are_not_counted(server: Server) -> None:
    httpx.get(f"{server.url}/admin.php")
    assert not any("admin" in name for name in counted(server))


def test_alive_is_not_ready(server: Server) -> None:
    assert httpx.get(f"{server.url}/live").json() == {"status": "alive"}
    readiness = Readiness()
    assert readiness.problem() == "the model is loading"
    assert readiness.fault() == ""
    metrics = ServerMetrics(lambda: None, readiness.problem)
    assert b"doctune_server_ready 0.0" in metrics.render()


def test_a_stuck_server_is_neither_alive_nor_ready() -> None:
    class Stuck:
        problem = "requests wait, but there has been no token for 130 s"

    readiness = Readiness()
    readiness.begin(Stuck())  # type: ignore[arg-type]
    assert readiness.problem() == readiness.fault() == Stuck.problem


def test_the_log_says_what_was_chosen_for_the_machine(artifact) -> None:
    from doctune.inference.generation import TextGenerator
    from doctune.serving.engine import options_by_machine
    from doctune.serving.options import ServingOptions

    generator = TextGenerator.load(artifact / "model")
    said = options_by_machine(generator, ServingOptions(model_uri=str(artifact)))
    assert said.startswith("engine native, cpus ")
    assert "device cpu" in said
    assert "precision float32" in said
    assert "chunk_tokens 128" in said


@pytest.mark.parametrize("route", ["/live", "/metrics"])
def test_probes_answer_while_the_model_works(server: Server, route: str) -> None:
    assert httpx.get(f"{server.url}{route}").status_code == 200
