"""Clients whose packages need an environment of their own, each the real one."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from doctune.localvertex.ports import free_port
from tests.gateway.client_environments import AGENTS, OPEN_WEBUI, client_python, run_client
from tests.gateway.conftest import MESSAGES, Gateway

_START_SECONDS = 400  # it loads torch, and migrates its database

pytestmark = pytest.mark.timeout(600)  # the first run installs the clients


@pytest.fixture(scope="module")
def agents() -> Path:
    return client_python(AGENTS)


def test_litellms_client_asks_and_streams(gateway: Gateway, agents: Path) -> None:
    found = json.loads(run_client(agents, "ask_litellm.py", f"{gateway.url}/v1", gateway.key))
    expected = gateway.chat().json()
    assert found["whole"] == expected["choices"][0]["message"]["content"]
    assert found["whole"] == found["streamed"] == found["asynchronous"]
    assert found["tokens"] == found["streamed_tokens"] == expected["usage"]["total_tokens"]
    assert found["refused"] == "AuthenticationError"


def test_an_agent_of_googles_adk_asks_and_streams(gateway: Gateway, agents: Path) -> None:
    found = json.loads(run_client(agents, "ask_adk.py", f"{gateway.url}/v1", gateway.key))
    assert found["whole"]["text"] == found["streamed"]["text"] != ""
    assert found["whole"]["pieces"] == 0
    assert found["streamed"]["pieces"] > 0


@pytest.fixture(scope="module")
def open_webui(
    gateway: Gateway, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """Open WebUI's server in front of the gateway, and a user who is signed in."""
    python = client_python(OPEN_WEBUI)
    folder, port = tmp_path_factory.mktemp("open-webui"), free_port()
    environment = {
        "DATA_DIR": str(folder),
        "WEBUI_SECRET_KEY": "tests",
        "WEBUI_AUTH": "False",
        "OPENAI_API_BASE_URL": f"{gateway.url}/v1",
        "OPENAI_API_KEY": gateway.key,
        "ENABLE_OLLAMA_API": "False",
        "OFFLINE_MODE": "True",
        "HF_HUB_OFFLINE": "1",
        "RAG_EMBEDDING_ENGINE": "openai",  # else it loads a model from a hub
        "ENABLE_VERSION_UPDATE_CHECK": "False",
    }
    command = [str(python.with_name("open-webui")), "serve", "--host", "127.0.0.1"]
    log = folder / "log.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--port", str(port)],
            cwd=folder,
            env={**os.environ, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(f"{url}/health"):
            assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < deadline, f"no answer in {_START_SECONDS} s from Open WebUI"
            time.sleep(0.5)
        signed_in = httpx.post(
            f"{url}/api/v1/auths/signin", json={"email": "", "password": ""}, timeout=60
        )
        headers = {"authorization": f"Bearer {signed_in.json()['token']}"}
        with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
            yield client
    finally:
        process.terminate()
        process.wait(40)


@pytest.mark.open_webui
def test_open_webui_lists_asks_and_streams(open_webui: httpx.Client, gateway: Gateway) -> None:
    listed = open_webui.get("/api/models").json()["data"]
    assert {"handbook", "other"} <= {model["id"] for model in listed}
    asked = {"model": "handbook", "messages": MESSAGES, "max_tokens": 8}
    whole = open_webui.post("/api/chat/completions", json={**asked, "stream": False})
    assert whole.status_code == 200, whole.text
    text = whole.json()["choices"][0]["message"]["content"]
    assert text == gateway.chat().json()["choices"][0]["message"]["content"]
    streamed = open_webui.post("/api/chat/completions", json={**asked, "stream": True})
    events = [line[6:] for line in streamed.text.splitlines() if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    chunks = [json.loads(event) for event in events[:-1]]
    pieces = [c["choices"][0]["delta"].get("content") or "" for c in chunks if c.get("choices")]
    assert "".join(pieces) == text


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.TransportError:
        return False
