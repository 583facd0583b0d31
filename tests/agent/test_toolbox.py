"""Tools given to the agent: who is offered them, what is called, and what comes of it."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from doctune.agent import Agent, AgentOptions, Message, StageAnswer, Toolbox
from doctune.agent.messages import ToolCall
from doctune.agent.model_facts import read_model_facts
from doctune.agent.toolbox import load_toolbox
from doctune.errors import ConfigurationError, UsageError
from tests.agent.conftest import FakeStage
from tests.agent.corpus import character_tokenizer
from tests.agent.shop import stock, tools
from tests.agent.test_core import QUESTION, answer

STOCK = "How many spare filters of the Arlo 3 are in stock in Lisbon?"


@dataclass
class CallingStage(FakeStage):
    """A stage whose model calls tools: each of `calls` once, before it answers."""

    calls_tools: bool = True
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    offered: list[Sequence[Mapping[str, Any]]] = field(default_factory=list)

    async def ask_with_tools(
        self, messages: Sequence[Message], most_tokens: int, tools: Sequence[Mapping[str, Any]]
    ) -> StageAnswer:
        self.offered.append(tools)
        if not self.calls:
            return await self.ask(messages, most_tokens)
        self.asked.append(list(messages))
        name, arguments = self.calls.pop(0)
        return StageAnswer(text="", calls=(ToolCall(f"call-{name}", name, json.dumps(arguments)),))


def given(agent: Agent, stage: FakeStage) -> Agent:
    return Agent(agent.answerer, [stage], AgentOptions(answering="model"), tools)


def test_a_model_calls_a_tool_for_what_the_documents_do_not_say(agent: Agent) -> None:
    stage = CallingStage(
        says=["There are 137 filters in Lisbon."],
        calls=[("stock", {"part": "filter", "town": "Lisbon"})],
    )
    reply = answer(given(agent, stage), STOCK)
    assert reply.text == "There are 137 filters in Lisbon."
    assert not reply.refused
    assert reply.sources == ()
    (used,) = reply.tools
    assert used.call.name == "stock"
    schema = stage.offered[0][0]["function"]
    assert (schema["name"], schema["parameters"]["required"]) == ("stock", ["part"])
    assert schema["description"] == "Returns how many of a spare part are in stock."
    called, result = stage.asked[1][-2:]
    assert called.calls[0].id == result.answers == "call-stock"
    assert '"pieces":137' in result.content
    assert "Ignore" not in result.content  # what a tool says is data, as passages are


def test_what_neither_a_passage_nor_a_tool_says_is_not_said(agent: Agent) -> None:
    invents = CallingStage(says=["There are 999 filters."], calls=[("stock", {"part": "filter"})])
    reply = answer(given(agent, invents), STOCK)
    assert "999" not in reply.text
    unasked = answer(given(agent, CallingStage(says=["There are filters."])), STOCK)
    assert unasked.refused


def test_the_documents_still_answer_and_are_cited_where_no_tool_is_called(agent: Agent) -> None:
    stage = CallingStage(says=["The filter is rinsed every 14 days."])
    reply = answer(given(agent, stage), QUESTION)
    assert reply.text == "The filter is rinsed every 14 days [1]."
    assert reply.tools == ()


@pytest.mark.parametrize("stage", [FakeStage(), CallingStage(calls_tools=False)])
def test_a_model_that_cannot_call_tools_is_never_offered_any(agent: Agent, stage: Any) -> None:
    assert answer(given(agent, stage), STOCK).refused
    assert stage.asked == []  # the documents do not say, and it could ask nobody else
    stage.says = ["The filter is rinsed every 14 days."]
    assert "14 days" in answer(given(agent, stage), QUESTION).text
    assert not getattr(stage, "offered", [])


def test_a_model_that_calls_tools_without_end_gives_way_to_the_documents(agent: Agent) -> None:
    stage = CallingStage(calls=[("price", {"part": "lid"})] * 9)
    reply = answer(given(agent, stage), QUESTION)
    assert (reply.speaker.stage, reply.speaker.fallback) == ("extractive", True)
    assert "14 days" in reply.text
    assert len(stage.asked) == 4


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("price", '{"part": "lid"}', "12.5"),
        ("price", '{"part": 3}', "Error: wrong arguments: part: Input should be a valid string"),
        ("price", '{"piece": "lid"}', "Error: wrong arguments: "),
        ("price", "[]", "Error: wrong arguments: not a JSON object"),
        ("price", "{", "Error: wrong arguments: EOF"),
        ("price", '{"part": "gold"}', "Error: the tool failed."),
        ("os.system", "{}", "Error: there is no tool 'os.system'."),
    ],
)
def test_arguments_are_checked_and_errors_are_said_without_secrets(
    name: str, arguments: str, said: str
) -> None:
    assert asyncio.run(tools.call(ToolCall("1", name, arguments))).startswith(said)


def test_a_tool_says_what_it_does_and_takes(tmp_path: Path) -> None:
    def silent(part: str) -> None: ...

    def untyped(part) -> None:
        """Does something."""

    for function, problem in ((silent, "a docstring"), (untyped, "a type for part")):
        with pytest.raises(UsageError, match=problem):
            Toolbox([function])
    with pytest.raises(UsageError, match="a tool named stock already"):
        Toolbox([stock, stock])


def test_a_toolbox_is_found_by_its_name() -> None:
    assert load_toolbox("tests.agent.shop:tools") is tools
    for name in (
        "tests.agent.shop:stock",
        "tests.agent.shop:none",
        "no.such.module:tools",
        "nothing",
    ):
        with pytest.raises(ConfigurationError, match="tools: "):
            load_toolbox(name)


@pytest.mark.parametrize(
    ("files", "can"),
    [
        ({"chat_template.jinja": "{% if tools %}{{ tools | tojson }}{% endif %}"}, True),
        (
            {"chat_template.jinja": "{% for m in messages %}{{ m.content }} tools{% endfor %}"},
            False,
        ),
        ({"tokenizer_config.json": '{"chat_template": "{{ tools }}"}'}, True),
        (
            {
                "tokenizer_config.json": '{"chat_template": [{"name": "default", "template": "x"}, '
                '{"name": "tool_use", "template": "{% for t in tools %}{{ t }}{% endfor %}"}]}'
            },
            True,
        ),
        ({"chat_template.jinja": "{% broken"}, False),
        ({}, False),
    ],
)
def test_whether_a_model_can_call_tools_is_read_from_its_chat_template(
    tmp_path: Path, files: dict[str, str], can: bool
) -> None:
    (tmp_path / "tokenizer.json").write_text(character_tokenizer().to_str())
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    assert read_model_facts(str(tmp_path)).calls_tools is can
