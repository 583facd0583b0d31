"""Tools of chat completions, by a tiny model that was taught to call one."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from starlette.testclient import TestClient

from doctune.serving.app import create_app
from doctune.serving.engine import load_engine
from doctune.serving.options import ServingOptions
from doctune.serving.readiness import Readiness
from doctune.serving.tools import read_calls
from tests.serving.tiny_model import write_tool_caller

TOOL = {
    "type": "function",
    "function": {
        "name": "stock",
        "description": "How many are in stock.",
        "parameters": {"type": "object", "properties": {"part": {"type": "string"}}},
    },
}
ASKED = [{"role": "user", "content": "How many skeens?"}]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[openai.OpenAI]:
    folder = write_tool_caller(tmp_path_factory.mktemp("caller"), TOOL, ASKED)
    options = ServingOptions(model_uri=str(folder), max_batch_size=2)
    readiness = Readiness()
    readiness.engine = load_engine(options)
    with TestClient(create_app(options, readiness, lambda: None)) as http:
        yield openai.OpenAI(
            base_url="http://testserver/v1", api_key="none", max_retries=0, http_client=http
        )


def ask(client: openai.OpenAI, **fields: Any) -> Any:
    body = {"model": "m", "messages": ASKED, "tools": [TOOL], **fields}
    return client.chat.completions.create(**body)


def test_a_call_of_the_model_is_one_for_the_client_and_its_result_is_read(
    client: openai.OpenAI,
) -> None:
    (choice,) = ask(client).choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    (call,) = choice.message.tool_calls
    assert call.function.name == "stock"
    assert json.loads(call.function.arguments) == {"part": "skeen"}

    result = {"role": "tool", "tool_call_id": call.id, "content": "4"}
    said = ask(client, messages=[*ASKED, choice.message.model_dump(exclude_none=True), result])
    assert said.choices[0].finish_reason == "stop"
    assert said.choices[0].message.content == "There are 4."


def test_a_stream_ends_with_the_call(client: openai.OpenAI) -> None:
    parts = list(ask(client, stream=True))
    (call,) = [one for part in parts for one in part.choices[0].delta.tool_calls or ()]
    assert (call.index, call.function.name) == (0, "stock")
    assert not any(part.choices[0].delta.content for part in parts)
    assert parts[-1].choices[0].finish_reason == "tool_calls"


def test_without_a_choice_of_tools_the_model_sees_none(client: openai.OpenAI) -> None:
    for fields in ({"tool_choice": "none"}, {"tools": []}):
        assert ask(client, **fields, max_tokens=40).choices[0].finish_reason != "tool_calls"


@pytest.mark.parametrize(
    ("fields", "param", "says"),
    [
        ({"tool_choice": "required"}, "tool_choice", "cannot be made"),
        ({"tools": [{"type": "retrieval"}]}, "tools", "function"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools", "pattern"),
        (
            {"messages": [*ASKED, {"role": "tool", "tool_call_id": "x", "content": "4"}]},
            "messages",
            "no message before",
        ),
        ({"messages": [*ASKED, {"role": "tool", "content": "4"}]}, "messages", "tool_call_id"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(
    client: openai.OpenAI, fields: dict[str, Any], param: str, says: str
) -> None:
    with pytest.raises(openai.BadRequestError, match=says) as refused:
        ask(client, **fields)
    assert str(refused.value.param).startswith(param)


@pytest.mark.parametrize(
    ("text", "said", "called"),
    [
        ('<tool_call>\n{"name": "stock", "arguments": {"a": 1}}\n</tool_call>', "", ["stock"]),
        ('<tool_call>[{"name": "stock"}, {"name": "price"}]</tool_call>', "", ["stock", "price"]),
        ('Wait. <tool_call>{"name": "stock"}</tool_call>', "Wait.", ["stock"]),
        ('{"name": "stock", "parameters": {"a": 1}}', "", ["stock"]),
        ('[{"name": "stock", "arguments": "{\\"a\\": 1}"}]', "", ["stock"]),
        ('{"name": "delete_all", "arguments": {}}', None, []),
        ('<tool_call>{"name": "stock", "argum', None, []),
        ('{"name": "stock", "arguments": [1]}', None, []),
        ('{"stock": 4}', None, []),
        ("[]", None, []),
        ("4", None, []),
    ],
)
def test_only_what_is_a_call_of_an_offered_tool_is_read_as_one(
    text: str, said: str | None, called: list[str]
) -> None:
    rest, calls = read_calls(text, {"stock", "price"})
    assert [call.function.name for call in calls] == called
    assert rest == (text if said is None else said)
