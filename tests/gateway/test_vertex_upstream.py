"""The gateway in front of an endpoint of the local Vertex AI, on the real model server."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from doctune.capacity.bench import BenchOptions, measure
from doctune.capacity.slo import parse_slo
from doctune.capacity.targets import AddressTarget, EndpointTarget, Target
from doctune.cli.endpoint_status import show_endpoint
from doctune.vertex import deploy_model, register_model
from doctune.vertex.serving_state import EndpointReader
from tests.gateway.conftest import Gateway, start_gateway, stop_gateway
from tests.serving.tiny_model import write_tiny_model
from tests.vertex.conftest import IMAGES, LOCATION, PROJECT, local_vertex, vertex_session
from tests.waiting import wait_for

NAME = f"gateway-{uuid.uuid4().hex[:8]}"
QUESTION = [{"prompt": "?"}]
SHORT = {"max_new_tokens": 2}


def release(folder: Path, seed: int) -> str:
    """Releases a version; returns its name."""
    artifact = write_tiny_model(folder / f"model-{seed}", seed=seed)
    registered = register_model(artifact, model_name=NAME, serving_image=f"{IMAGES}/serving:1")
    deploy_model(
        registered.version_name,
        endpoint_name=NAME,
        smoke_instances=QUESTION,
        smoke_parameters=SHORT,
    )
    return registered.version_name


@pytest.fixture(scope="module")
def vertex(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with local_vertex(tmp_path_factory.mktemp("localvertex")) as local, vertex_session(local):
        yield


@pytest.fixture(scope="module")
def first_version(vertex: None, tmp_path_factory: pytest.TempPathFactory) -> str:
    return release(tmp_path_factory.mktemp("first"), seed=1)


@pytest.fixture(scope="module")
def deployed(first_version: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    options = {"models": {NAME: {"upstreams": [f"vertex:{NAME}"]}}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCTUNE_VERTEX_PROJECT", PROJECT)
        patch.setenv("DOCTUNE_VERTEX_LOCATION", LOCATION)
        started = start_gateway(tmp_path_factory.mktemp("gateway"), options)
    try:
        yield started
    finally:
        stop_gateway(started)


def test_answers_and_streams_come_from_the_endpoint(deployed: Gateway, first_version: str) -> None:
    whole = deployed.chat(model=NAME)
    assert whole.status_code == 200, whole.text
    assert whole.headers["x-doctune-model-version"] == first_version
    assert whole.headers["x-doctune-deployed-model"]
    streamed = deployed.chat(model=NAME, stream=True, headers={"cache-control": "no-store"})
    assert streamed.status_code == 200
    assert streamed.text.rstrip().endswith("[DONE]")


def test_it_is_ready_when_the_endpoint_answers(deployed: Gateway) -> None:
    answer = deployed.get("/readyz")
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("by", ["endpoint", "gateway"])
def test_load_reaches_an_endpoint_itself_and_by_the_gateway(deployed: Gateway, by: str) -> None:
    target: Target = EndpointTarget(NAME, EndpointReader(PROJECT, LOCATION))
    if by == "gateway":
        target = AddressTarget(f"{deployed.url}/v1#{NAME}", deployed.key)
    prompts = [[{"role": "user", "content": "?"}]]
    options = BenchOptions(seconds=1.0, rates=(3.0,), max_tokens=4)
    alone, (stage,) = measure(target, prompts, parse_slo("ttft_p95=20s"), options)
    assert alone.errors == stage.errors == {}
    assert stage.meets_slo
    assert alone.prompt_tokens > 0
    assert 0 < alone.completion_tokens <= 4


def test_the_status_of_an_endpoint_names_its_version_and_what_it_answered(
    deployed: Gateway,
    first_version: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    deployed.chat(model=NAME, headers={"cache-control": "no-store"})
    around = SimpleNamespace(engine=deployed.engine)
    monkeypatch.setattr("doctune.gateway.server.surroundings", lambda: around)

    def logged() -> Any:
        show_endpoint(NAME, as_json=True)
        return json.loads(capsys.readouterr().out)["last_hour"]

    (one,) = wait_for(logged, what="the log of the gateway")
    assert one["model_version"] == first_version
    assert one["error_rate"] == 0
    show_endpoint(NAME, as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert [version["share"] for version in document["versions"]] == [100]
    assert document["versions"][0]["deployed_at"]
    show_endpoint(NAME, as_json=False)
    assert "100%" in capsys.readouterr().out


def test_a_new_version_never_answers_with_an_old_ones_words(
    deployed: Gateway, first_version: str, tmp_path: Path
) -> None:
    import time

    deployed.chat(model=NAME)
    assert deployed.chat(model=NAME).headers["x-doctune-cache"] == "hit"
    second = release(tmp_path, seed=2)
    time.sleep(5.5)  # what is known of an endpoint is five seconds old at most
    deployed.chat(model=NAME, headers={"cache-control": "no-store"})
    answer = deployed.chat(model=NAME)
    assert answer.headers["x-doctune-model-version"] == second
    assert answer.headers["x-doctune-cache"] == "miss"


def test_the_state_of_an_endpoint_says_who_answers(first_version: str) -> None:
    state = EndpointReader(PROJECT, LOCATION).read(NAME)
    assert sum(version.share for version in state.versions) == 100
    assert state.version_of(state.versions[0].deployed_model_id)
