"""OpenAI's wire, asked by the real clients and by hand."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.gateway.conftest import MESSAGES, Gateway
from tests.gateway.test_answers import logged

# The model's weights are random: drawn like this, its answers are long.
LONG = {"max_tokens": 40, "temperature": 1.0, "top_p": 0.9, "seed": 1}


@pytest.fixture(scope="module")
def client(gateway: Gateway) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0)


def test_openais_client_asks_streams_and_lists(client: openai.OpenAI) -> None:
    asked: Any = {"model": "handbook", "messages": MESSAGES, **LONG}
    whole = client.chat.completions.create(**asked)
    pieces = list(
        client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})
    )
    assert whole.choices[0].message.content
    text = "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)
    assert text == whole.choices[0].message.content
    assert pieces[0].choices[0].delta.role == "assistant"
    assert pieces[-2].choices[0].finish_reason == whole.choices[0].finish_reason
    assert pieces[-1].usage == whole.usage
    assert {model.id for model in client.models.list()} == {"handbook", "other"}
    assert client.models.retrieve("handbook").id == "handbook"


def test_openais_asynchronous_client_asks_and_streams(gateway: Gateway) -> None:
    async def ask() -> tuple[str | None, str]:
        async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key) as client:
            asked: Any = {"model": "handbook", "messages": MESSAGES, "max_tokens": 8}
            whole = await client.chat.completions.create(**asked)
            stream = await client.chat.completions.create(**asked, stream=True)
            pieces = [p.choices[0].delta.content or "" async for p in stream if p.choices]
            return whole.choices[0].message.content, "".join(pieces)

    whole, pieces = asyncio.run(ask())
    assert whole == pieces


def test_openais_client_completes_texts(client: openai.OpenAI) -> None:
    asked: Any = {"model": "handbook", "prompt": MESSAGES[0]["content"], "max_tokens": 8}
    whole = client.completions.create(**asked)
    chat = client.chat.completions.create(model="handbook", messages=MESSAGES, max_tokens=8)  # type: ignore[arg-type]
    assert whole.choices[0].text == chat.choices[0].message.content
    pieces = client.completions.create(**asked, stream=True)
    assert "".join(piece.choices[0].text for piece in pieces) == whole.choices[0].text


def test_langchains_client_asks_and_streams(gateway: Gateway) -> None:
    from langchain_openai import ChatOpenAI

    chat = ChatOpenAI(
        model="handbook", base_url=f"{gateway.url}/v1", api_key=gateway.key, max_tokens=8
    )
    question = MESSAGES[0]["content"]
    whole = chat.invoke(question).content
    assert whole
    assert "".join(str(piece.content) for piece in chat.stream(question)).strip() == whole


@pytest.mark.parametrize(
    "route", ["/v1/chat/completions", "/v1/models", "/v1/feedback", "/metrics"]
)
@pytest.mark.parametrize("key", ["", "nonsense", "dtk_0_0", "dtk_é_0"])
def test_without_a_valid_key_nothing_is_answered(gateway: Gateway, route: str, key: str) -> None:
    method = "GET" if route in ("/v1/models", "/metrics") else "POST"
    headers = {"authorization": f"Bearer {key}".encode()} if key else {}
    answer = httpx.request(method, f"{gateway.url}{route}", headers=headers, json={}, timeout=30)
    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "authentication_error"


def test_health_and_readiness_need_no_key(gateway: Gateway) -> None:
    assert httpx.get(f"{gateway.url}/healthz").status_code == 200
    ready = httpx.get(f"{gateway.url}/readyz", timeout=20)
    assert ready.status_code == 200, ready.text


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"model": "unknown"}, 404, "model"),
        ({"model": ""}, 400, "model"),
        ({"n": 2}, 400, "n"),
        ({"tools": [{}]}, 400, "tools"),
        ({"messages": []}, 400, "messages"),
        ({"messages": [{"role": "user", "content": "?"}] * 201}, 400, "messages"),
        ({"surprise": 1}, 400, "surprise"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(
    gateway: Gateway, fields: dict[str, Any], status: int, param: str
) -> None:
    answer = gateway.chat(**fields)
    assert answer.status_code == status
    assert answer.json()["error"]["param"] == param


IMAGE = {"type": "image_url", "image_url": {"url": "data:,"}}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"logprobs": True}, "logprobs"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"logit_bias": {"1": 5}}, "logit_bias"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"frequency_penalty": 1.0}, "frequency_penalty"),
        ({"presence_penalty": 1.0}, "presence_penalty"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"reasoning_effort": "high"}, "reasoning_effort"),
        ({"prediction": {"type": "content", "content": "a"}}, "prediction"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"store": True}, "store"),
        ({"messages": [{"role": "user", "content": [IMAGE]}]}, "messages[0].content[0].type"),
        ({"temperature": -1}, "temperature"),
        ({"top_p": 2}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stop": ["a"] * 5}, "stop"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_openais_client_learns_which_parameter_is_refused(
    client: openai.OpenAI, fields: dict[str, Any], param: str, stream: bool
) -> None:
    asked: Any = {"model": "handbook", "messages": MESSAGES, "stream": stream, **fields}
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(**asked)
    assert raised.value.param == param
    assert raised.value.type == "invalid_request_error"
    assert raised.value.code in ("unsupported_parameter", "unsupported_value", "invalid_value")
    assert raised.value.request_id


@pytest.mark.parametrize(("name", "value"), [("best_of", 2), ("echo", True), ("logprobs", 1)])
def test_what_text_completions_cannot_honour_is_refused_by_name(
    client: openai.OpenAI, name: str, value: Any
) -> None:
    asked: Any = {"model": "handbook", "prompt": "?", name: value}
    with pytest.raises(openai.BadRequestError) as raised:
        client.completions.create(**asked)
    assert (raised.value.param, raised.value.code) == (name, "unsupported_parameter")


def test_every_response_has_an_id_of_its_own(gateway: Gateway) -> None:
    responses = [
        gateway.chat(),
        gateway.chat(stream=True),
        gateway.chat(n=2),
        gateway.chat(model="unknown"),
        gateway.chat("dtk_none_none"),
        gateway.get("/v1/models"),
        gateway.get("/v1/nothing"),
        gateway.get("/healthz"),
        gateway.post("/v1/feedback", {}),
    ]
    ids = [response.headers["x-request-id"] for response in responses]
    assert len(set(ids)) == len(ids)


def test_a_refusal_of_the_model_reaches_the_client(gateway: Gateway) -> None:
    answer = gateway.chat(messages=[{"role": "user", "content": "pump " * 500}])
    assert answer.status_code == 400
    assert "no room for an answer" in answer.json()["error"]["message"]
    # The refusal is in the log of predictions, under the id that the client has.
    assert logged(gateway, answer.headers["x-request-id"]).status == 400


@pytest.mark.parametrize(
    ("content", "media_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b"{}", "text/plain", 415),
        (b'{"x": "' + b"y" * 1_000_001 + b'"}', "application/json", 413),
    ],
)
def test_bodies_that_are_no_request_are_refused(
    gateway: Gateway, content: bytes, media_type: str, status: int
) -> None:
    for route in ("/v1/chat/completions", "/v1/completions", "/v1/feedback"):
        answer = httpx.post(
            f"{gateway.url}{route}",
            content=content,
            headers=gateway.headers() | {"content-type": media_type},
            timeout=30,
        )
        assert answer.status_code == status, route
        assert answer.json()["error"]["message"]


def test_unknown_routes_and_methods_have_openais_shape(gateway: Gateway) -> None:
    unknown = gateway.get("/v1/nothing").json()["error"]
    assert unknown["code"] == "unknown_route"
    assert unknown["message"] == "There is no /v1/nothing here: GET /openapi.json lists the routes."
    refused = gateway.get("/v1/chat/completions")
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
    assert refused.json()["error"]["code"] == "method_not_allowed"
    assert refused.json()["error"]["message"] == "/v1/chat/completions takes POST, not GET."
    several = httpx.options(f"{gateway.url}/v1/conversations/c", timeout=30)
    assert several.headers["allow"] == "DELETE, GET"


def test_the_description_says_which_routes_need_no_key(gateway: Gateway) -> None:
    described = httpx.get(f"{gateway.url}/openapi.json", timeout=30).json()
    needs_none = [
        route
        for route, methods in described["paths"].items()
        if any(not method["security"] for method in methods.values())
    ]
    assert needs_none == ["/healthz", "/readyz"]
    for route, methods in described["paths"].items():
        for method in methods:
            if route not in needs_none:
                path = route.replace("{", "").replace("}", "")
                seen = httpx.request(method, f"{gateway.url}{path}", json={}, timeout=30)
                assert seen.status_code == 401, (method, path)


def test_answers_say_where_they_come_from(gateway: Gateway) -> None:
    answer = gateway.chat()
    assert answer.headers["x-request-id"] == answer.json()["id"]
    assert answer.headers["x-doctune-model-version"] == "tuned"
    assert "x-doctune-fallback" not in answer.headers


def test_a_stream_ends_with_its_mark(gateway: Gateway) -> None:
    answer = gateway.chat(stream=True)
    events = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
    assert events[-1] == "[DONE]"
    assert json.loads(events[0])["choices"][0]["delta"]["role"] == "assistant"
    assert json.loads(events[-2])["choices"][0]["finish_reason"] in ("stop", "length")
    assert answer.headers["x-request-id"] == json.loads(events[0])["id"]


def test_pydantic_ai_asks_and_streams(gateway: Gateway) -> None:
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    provider = OpenAIProvider(base_url=f"{gateway.url}/v1", api_key=gateway.key)
    agent = Agent(OpenAIChatModel("handbook", provider=provider), model_settings={"max_tokens": 8})

    async def ask() -> tuple[str, str]:
        whole = (await agent.run("What does the pump have?")).output
        async with agent.run_stream("What does the pump have?") as stream:
            return whole, [text async for text in stream.stream_text()][-1]

    whole, streamed = asyncio.run(ask())
    assert whole
    assert streamed == whole


def test_schemathesis_finds_nothing(gateway: Gateway) -> None:
    # Left out is one check: that all data is taken that the schema allows. JSON Schema cannot say
    # that the last message must be the user's, or which fields of feedback belong together.
    command = [
        *(str(Path(sys.executable).parent / "schemathesis"), "run"),
        *(f"{gateway.url}/openapi.json", "--exclude-checks", "positive_data_acceptance"),
        *("--max-examples", "25", "--seed", "1", "--exclude-path", "/readyz"),
        *("-H", f"Authorization: Bearer {gateway.key}"),
    ]
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=300, cwd=gateway.folder
    )
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-1000:]
