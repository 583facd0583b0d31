"""Google's ADK against the gateway, with the real package, in an environment of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from doctune.localvertex.ports import free_port
from doctune.processes import start_process, stop_process
from tests.agent.corpus import Corpus
from tests.gateway.client_environments import AGENTS, client_python
from tests.gateway.conftest import ROOT, Gateway, start_gateway, stop_gateway
from tests.waiting import wait_for

pytestmark = pytest.mark.timeout(600)  # the first run installs the packages

QUESTION = "How often is the filter of the Arlo 3 rinsed?"
_AGENT = """
import os
from doctune.agent.adk import make_agent

root_agent = make_agent(os.environ["GATEWAY"], os.environ["GATEWAY_KEY"])
"""
_SCRIPT = """
import asyncio, json, sys
from google.adk.runners import InMemoryRunner
from google.adk.tools import FunctionTool
from google.genai import types
from doctune.agent import as_tool
from doctune.agent.adk import make_agent

gateway, key, question, *command = sys.argv[1:]

async def run():
    runner = InMemoryRunner(agent=make_agent(gateway, key), app_name="documents")
    session = await runner.session_service.create_session(app_name="documents", user_id="ana")
    said = []
    message = types.Content(role="user", parts=[types.Part(text=question)])
    async for event in runner.run_async(
        user_id="ana", session_id=session.id, new_message=message
    ):
        said += [part.text for part in event.content.parts if part.text]
    declared = FunctionTool(as_tool(None))._get_declaration()
    (tools,) = make_agent(gateway, key, mcp_command=command).tools
    names = sorted(tool.name for tool in await tools.get_tools())
    await tools.close()
    taken = {declared.name: sorted(declared.parameters_json_schema["properties"])}
    print(json.dumps({"said": " ".join(said), "tools": names, "taken": taken}))

asyncio.run(run())
"""

# What agent_engines.create does with an agent: the SDK's own check, and one file by cloudpickle.
_PACK = """
import sys

import cloudpickle
import vertexai
from google.auth.credentials import AnonymousCredentials
from vertexai._genai import _agent_engines_utils
from vertexai.agent_engines import AdkApp

from doctune.agent.adk import make_agent

vertexai.init(project="p", location="europe-west4", credentials=AnonymousCredentials())
app = AdkApp(agent=make_agent(sys.argv[1]))
_agent_engines_utils._validate_agent_or_raise(agent=app)
with open(sys.argv[2], "wb") as file:
    cloudpickle.dump(app, file)
"""
# What Agent Engine does with that file: another process, in which doctune is not installed.
_ENGINE = """
import importlib.util, json, sys

import cloudpickle

with open(sys.argv[1], "rb") as file:
    app = cloudpickle.load(file)
app.set_up()
events = list(app.stream_query(user_id="ana", message=sys.argv[2]))
said = [part.get("text", "") for event in events for part in event["content"]["parts"]]
queries = [name for names in app.register_operations().values() for name in names]
doctune = importlib.util.find_spec("doctune") is not None
print(json.dumps({"said": " ".join(said), "queries": queries, "doctune": doctune}))
"""


@pytest.fixture(scope="module")
def front(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    dead = f"http://127.0.0.1:{free_port()}/v1#tuned"
    options = {
        "models": {"handbook": {"upstreams": [dead]}},
        "agents": {"handbook-agent": {"index": str(corpus.index)}},
    }
    started = start_gateway(tmp_path_factory.mktemp("adk"), options)
    try:
        yield started
    finally:
        stop_gateway(started)


def test_an_adk_agent_answers_by_the_gateway_and_finds_the_tools(
    front: Gateway, corpus: Corpus
) -> None:
    command = [sys.executable, "-m", "doctune", "mcp", "--index", str(corpus.index)]
    done = subprocess.run(
        [
            str(client_python(AGENTS)),
            "-c",
            _SCRIPT,
            f"{front.url}/v1",
            front.key,
            QUESTION,
            *command,
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert "14 days" in said["said"]
    assert said["tools"] == ["ask_documents", "search_documents"]
    arguments = ["document", "language", "question", "since", "until"]
    assert said["taken"] == {"ask_documents": arguments}


def test_the_app_for_agent_engine_answers_from_its_pickle_without_doctune_and_without_a_secret(
    front: Gateway, tmp_path: Path
) -> None:
    packed = tmp_path / "app.pkl"
    inside = environment(front)
    _python(_PACK, f"{front.url}/v1", packed, environment=inside)
    assert front.key.encode() not in packed.read_bytes()

    outside = {**inside, "OPENAI_API_KEY": front.key}
    del outside["PYTHONPATH"], outside["GATEWAY_KEY"]
    said = json.loads(_python(_ENGINE, packed, QUESTION, environment=outside, cwd=tmp_path))
    assert "14 days" in said["said"]
    assert {"stream_query", "async_stream_query"} <= set(said["queries"])
    assert said["doctune"] is False


def _python(
    script: str, *arguments: str | Path, environment: dict[str, str], cwd: Path | None = None
) -> str:
    """Runs a script in the environment of ADK and returns the last line that it printed."""
    done = subprocess.run(
        [str(client_python(AGENTS)), "-c", script, *map(str, arguments)],
        env=environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return (done.stdout.splitlines() or [""])[-1]


@pytest.fixture
def agents(tmp_path: Path) -> Path:
    """A folder of agents, as ADK's commands take it."""
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "__init__.py").write_text("from . import agent\n")
    (folder / "agent.py").write_text(_AGENT)
    return tmp_path


def adk(*arguments: str | Path) -> list[str]:
    return [str(client_python(AGENTS).with_name("adk")), *map(str, arguments)]


def environment(front: Gateway) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "GATEWAY": f"{front.url}/v1",
        "GATEWAY_KEY": front.key,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }


def test_adk_web_serves_the_agent_with_its_page(front: Gateway, agents: Path) -> None:
    port = free_port()
    log = (agents / "log").open("wb")
    process = start_process(
        adk("web", "--port", str(port), "--no-reload", agents),
        environment=environment(front),
        cwd=agents,
        stdout=log,
        stderr=log,
    )
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as web:
        try:
            wait_for(lambda: _listed(web) == ["documents"], 120, "`adk web` to list the agent")
            assert "<html" in web.get("/dev-ui/").text
            session = web.post("/apps/documents/users/ana/sessions", json={}).json()["id"]
            run = {
                "app_name": "documents",
                "user_id": "ana",
                "session_id": session,
                "new_message": {"role": "user", "parts": [{"text": QUESTION}]},
            }
            events = web.post("/run", json=run).json()
        finally:
            stop_process(process.pid)
            process.communicate(timeout=40)
            log.close()
    said = [part.get("text", "") for event in events for part in event["content"]["parts"]]
    assert "14 days" in " ".join(said)


def _listed(web: httpx.Client) -> Any:
    try:
        return web.get("/list-apps").json()
    except httpx.TransportError:
        return None


def test_adk_eval_tells_right_answers_from_wrong_ones(front: Gateway, agents: Path) -> None:
    right = "The filter of the Arlo 3 is rinsed every 14 days with cold water."
    cases = [_case("right", right), _case("wrong", "It needs no care at all.")]
    questions, criteria = agents / "questions.evalset.json", agents / "criteria.json"
    questions.write_text(json.dumps({"eval_set_id": "questions", "eval_cases": cases}))
    criteria.write_text(json.dumps({"criteria": {"response_match_score": 0.6}}))
    done = subprocess.run(
        adk("eval", agents / "documents", questions, "--config_file_path", criteria),
        env=environment(front),
        cwd=agents,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert "Tests passed: 1\n  Tests failed: 1" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 1


def _case(name: str, answer: str) -> dict[str, Any]:
    return {
        "eval_id": name,
        "conversation": [
            {
                "user_content": {"role": "user", "parts": [{"text": QUESTION}]},
                "final_response": {"role": "model", "parts": [{"text": answer}]},
            }
        ],
        "session_input": {"app_name": "documents", "user_id": "ana", "state": {}},
    }
