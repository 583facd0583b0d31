"""Gemini as a stage: through Google's own client, against a Gemini on this machine."""

import socket
from collections.abc import Iterator

import pytest

from doctune.agent.gemini_stage import GeminiStage
from doctune.errors import ConfigurationError
from doctune.gateway.options import GatewayOptions
from tests.agent.conftest import FakeStage
from tests.agent.test_core import QUESTION, answer
from tests.evaluation.fake_gemini import FakeGemini, fake_gemini


@pytest.fixture
def gemini(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGemini]:
    for variable in ("GOOGLE_GENAI_USE_VERTEXAI", "GEMINI_API_KEY", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(variable, raising=False)
    with fake_gemini(lambda prompt: "The filter is rinsed every 14 days.") as fake:
        monkeypatch.setenv("GOOGLE_API_KEY", "not-a-real-key")
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", fake.address)
        yield fake


def test_gemini_answers_where_the_endpoint_does_not(asking, gemini: FakeGemini) -> None:
    stages = [FakeStage(mode="error"), GeminiStage("gemini:gemini-2.5-flash", 20)]
    reply = answer(asking(*stages, system="Be brief."), QUESTION)
    assert reply.text == "The filter is rinsed every 14 days [1]."
    assert (reply.speaker.stage, reply.speaker.fallback) == ("gemini:gemini-2.5-flash", True)
    (path,), (asked,) = gemini.paths, gemini.requests
    assert path.endswith("/models/gemini-2.5-flash:generateContent")
    assert asked["systemInstruction"]["parts"][0]["text"] == "Be brief."
    assert asked["contents"][-1]["parts"][0]["text"].endswith(QUESTION)
    assert asked["generationConfig"]["temperature"] == 0


def test_a_gemini_that_fails_is_asked_once_and_the_next_stage_answers(
    asking, gemini: FakeGemini
) -> None:
    gemini.failures = [503]
    reply = answer(asking(GeminiStage("gemini:gemini-2.5-flash", 20)), QUESTION)
    assert reply.speaker.stage == "extractive"
    assert "14 days" in reply.text
    assert len(gemini.requests) == 1


def test_without_credentials_the_gateway_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GOOGLE_API_KEY", "GEMINI_API_KEY", "GOOGLE_GENAI_USE_VERTEXAI"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigurationError, match="set GOOGLE_API_KEY"):
        GeminiStage("gemini:gemini-2.5-flash", 20)


@pytest.mark.parametrize(
    ("upstream", "allowed", "problem"),
    [
        ("gemini:gemini-2.5-flash", False, "needs allow_gemini: true"),
        ("gemini:", True, "names its model"),
        ("gemini:gemini-2.5-flash", True, ""),
    ],
)
def test_a_stage_of_gemini_must_be_allowed(upstream: str, allowed: bool, problem: str) -> None:
    agent = {"index": "index", "stages": [{"upstream": upstream}], "allow_gemini": allowed}
    options = {"models": {"m": {"upstreams": ["vertex:m"]}}, "agents": {"m-agent": agent}}
    if problem:
        with pytest.raises(ValueError, match=problem):
            GatewayOptions.model_validate(options)
    else:
        assert GatewayOptions.model_validate(options).agents["m-agent"].stages[0].is_gemini


def test_without_any_network_the_documents_own_words_answer(
    asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(101, "Network is unreachable")

    monkeypatch.setenv("GOOGLE_API_KEY", "not-a-real-key")
    agent = asking(GeminiStage("gemini:gemini-2.5-flash", 20))
    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    reply = answer(agent, QUESTION)
    assert (reply.speaker.stage, reply.speaker.fallback) == ("extractive", True)
    assert "14 days" in reply.text
