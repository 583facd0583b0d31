"""OpenAI's chat route of the model server, asked over HTTP and by the `openai` package."""

import json
import time
from typing import Any

import httpx
import openai
import pytest

from tests.serving.conftest import Server

MESSAGES = [{"role": "user", "content": "What does the pump have?"}]
# The model's weights are random: drawn like this, its answers are long and their text is readable.
LONG = {"max_tokens": 40, "temperature": 1.0, "top_p": 0.9, "seed": 1}


def chat(server: Server, route: str = "/v1/chat/completions", **fields: Any) -> httpx.Response:
    body = {"model": "tuned", "messages": MESSAGES, "max_tokens": 8, **fields}
    return httpx.post(f"{server.url}{route}", json=body, timeout=30)


def events(response: httpx.Response) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    assert lines.pop() == "[DONE]"
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def client(server: Server) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=30)


def test_answers_as_predict_does(server: Server) -> None:
    answer = chat(server).json()
    body = {"instances": [{"messages": MESSAGES}], "parameters": {"max_new_tokens": 8}}
    predicted = server.predict(body).json()["predictions"][0]
    (choice,) = answer["choices"]
    assert choice["message"]["content"] == predicted["text"]
    assert choice["finish_reason"] == predicted["finish_reason"]
    assert answer["usage"]["completion_tokens"] == predicted["completion_tokens"]
    assert answer["object"] == "chat.completion"


def test_the_predict_route_takes_a_chat_body_too(server: Server) -> None:
    by_route = chat(server).json()["choices"]
    assert chat(server, "/predict").json()["choices"] == by_route


def test_a_message_that_speaks_of_instances_is_still_a_chat(server: Server) -> None:
    messages = [{"role": "user", "content": 'what are "instances"?'}]
    assert "choices" in chat(server, "/predict", messages=messages).json()


@pytest.mark.parametrize("route", ["/v1/chat/completions", "/predict"])
def test_a_stream_gives_the_same_answer_in_pieces(server: Server, route: str) -> None:
    whole = chat(server, **LONG).json()["choices"][0]
    options = {"include_usage": True}
    parts = events(chat(server, route, **LONG, stream=True, stream_options=options))
    usage = parts.pop()
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] > 0
    deltas = [part["choices"][0]["delta"] for part in parts]
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert "".join(delta.get("content", "") for delta in deltas) == whole["message"]["content"]
    assert len(deltas) > 3
    assert parts[-1]["choices"][0]["finish_reason"] == whole["finish_reason"]
    assert {part["object"] for part in parts} == {"chat.completion.chunk"}


def test_openais_client_asks_and_streams(client: openai.OpenAI) -> None:
    asked = {"model": "tuned", "messages": MESSAGES, "max_completion_tokens": 6}
    whole = client.chat.completions.create(**asked)
    pieces = [
        chunk.choices[0].delta.content or ""
        for chunk in client.chat.completions.create(**asked, stream=True)
    ]
    assert "".join(pieces) == whole.choices[0].message.content


def test_a_stop_string_ends_the_answer(server: Server) -> None:
    text = chat(server, **LONG).json()["choices"][0]["message"]["content"]
    stop = text[3:6]
    choice = chat(server, **LONG, stop=[stop]).json()["choices"][0]
    assert choice["message"]["content"] == text[: text.index(stop)].strip()
    assert choice["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("fields", "param", "says"),
    [
        ({"messages": []}, "messages", "at least 1"),
        ({"messages": [{"role": "wizard", "content": "?"}]}, "messages[0].role", "'system'"),
        ({"messages": [*MESSAGES, {"role": "assistant", "content": "!"}]}, "messages", "last"),
        ({"n": 2}, "n", "not supported"),
        ({"n": True}, "n", "not supported"),
        ({"tools": [{"type": "function"}]}, "tools", "not supported"),
        ({"logprobs": True}, "logprobs", "not supported"),
        ({"response_format": {"type": "json_object"}}, "response_format", "not supported"),
        ({"max_token": 1}, "max_token", "not a known field"),
        ({"max_tokens": 0}, "max_tokens", "greater than or equal to 1"),
        ({"max_tokens": 5000}, "max_tokens", "more than 1024"),
        ({"temperature": -1}, "temperature", "greater than or equal to 0"),
        ({"stop": ["a"] * 5}, "stop", "at most 4"),
        ({"stream_options": {"include_usage": True}}, "stream_options", "needs stream"),
        ({"max_completion_tokens": 3}, "max_tokens", "give one"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
            "messages[0].content[0].type",
            "only text",
        ),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(
    server: Server, fields: dict[str, Any], param: str, says: str
) -> None:
    answer = chat(server, **fields)
    error = answer.json()["error"]
    assert answer.status_code == 400
    assert says in error["message"]
    if "5000" not in str(fields):  # the model's own bound is told in words
        assert error["param"] == param


def test_fields_that_ask_for_nothing_are_taken(server: Server) -> None:
    neutral = {"n": 1, "tools": [], "logprobs": False, "presence_penalty": 0.0, "store": None}
    neutral |= dict.fromkeys(["stop", "seed", "user", "top_p", "stream", "stream_options"])
    assert chat(server, **neutral, response_format={"type": "text"}).status_code == 200


def test_text_parts_are_one_text(server: Server) -> None:
    parts = [{"type": "text", "text": MESSAGES[0]["content"]}]
    answer = chat(server, messages=[{"role": "user", "content": parts}])
    assert answer.json()["choices"] == chat(server).json()["choices"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff"])
def test_a_body_that_is_no_request_is_answered_400(server: Server, body: bytes) -> None:
    answer = httpx.post(f"{server.url}/v1/chat/completions", content=body, timeout=30)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]


def test_a_client_that_leaves_in_mid_stream_makes_room(server: Server) -> None:
    # More long streams than the batch holds are opened and left; what comes after is answered.
    body = {"messages": MESSAGES, "max_tokens": 90, "stream": True, "temperature": 2.0}
    for seed in range(20):
        with httpx.stream(
            "POST", f"{server.url}/v1/chat/completions", json={**body, "seed": seed}, timeout=30
        ) as stream:
            next(stream.iter_raw())
    started = time.monotonic()
    assert chat(server).status_code == 200
    assert time.monotonic() - started < 20
