"""Google's ADK against the gateway, with the real package, in an environment of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from doctune.localvertex.ports import free_port
from tests.agent.corpus import Corpus
from tests.gateway.client_environments import AGENTS, client_python
from tests.gateway.conftest import ROOT, Gateway, start_gateway, stop_gateway

pytestmark = pytest.mark.timeout(600)  # the first run installs the packages

_SCRIPT = """
import asyncio, json, sys
from google.adk.runners import InMemoryRunner
from google.genai import types
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
    (tools,) = make_agent(gateway, key, mcp_command=command).tools
    names = sorted(tool.name for tool in await tools.get_tools())
    await tools.close()
    print(json.dumps({"said": " ".join(said), "tools": names}))

asyncio.run(run())
"""


@pytest.fixture
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
    question = "How often is the filter of the Arlo 3 rinsed?"
    done = subprocess.run(
        [
            str(client_python(AGENTS)),
            "-c",
            _SCRIPT,
            f"{front.url}/v1",
            front.key,
            question,
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
