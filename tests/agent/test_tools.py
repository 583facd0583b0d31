"""The agent as a tool: a typed function, and an MCP server over standard input and output."""

import asyncio
import inspect
import json
import sys

import pytest
from langchain_core.tools import StructuredTool
from pydantic_ai import Agent as PydanticAgent
from pydantic_ai.models.test import TestModel

from doctune.agent import Agent, as_tool
from doctune.agent.tools import as_search_tool
from tests.agent.corpus import Corpus

QUESTION = "How often is the filter of the Arlo 3 rinsed?"


def test_the_tool_is_a_typed_function_that_answers_with_sources(agent: Agent) -> None:
    tool = as_tool(agent)
    assert tool.__name__ == "ask_documents"  # type: ignore[attr-defined]
    assert "question" in inspect.signature(tool).parameters
    said = asyncio.run(tool(QUESTION))
    assert "14 days" in said["answer"]
    assert said["sources"][0]["document"] == "arlo-3-manual.pdf"


def test_langchain_and_pydantic_ai_take_it(agent: Agent) -> None:
    wrapped = StructuredTool.from_function(coroutine=as_tool(agent))
    assert "14 days" in asyncio.run(wrapped.ainvoke({"question": QUESTION}))["answer"]
    asking = PydanticAgent(TestModel(), tools=[as_tool(agent)])
    assert "ask_documents" in asking.run_sync("anything").output


@pytest.mark.parametrize("groups", [["everybody"], ["everybody", "partners"]])
def test_searching_sees_what_the_groups_may(agent: Agent, groups: list[str]) -> None:
    found = asyncio.run(as_search_tool(agent, groups)("partner prices", 20))
    assert any("partners/" in one["document"] for one in found) == ("partners" in groups)


def test_a_filter_narrows_a_search_and_never_widens_what_groups_allow(agent: Agent) -> None:
    def files(**only: str) -> set[str]:
        search = as_search_tool(agent, ["everybody"])
        return {
            one["document"] for one in asyncio.run(search("Arlo filter motor price", 20, **only))
        }

    assert {"arlo-3-manual.pdf", "warranty.pdf"} <= files()
    assert files(document="warranty*") == {"warranty.pdf"}
    assert files(document="partners/*") == set()
    assert files(language="de") == set()
    assert files(language="en") == files()


def test_an_mcp_client_lists_and_calls_both_tools(corpus: Corpus) -> None:
    from mcp import ClientSession, StdioServerParameters
    from mcp.client.stdio import stdio_client

    command = StdioServerParameters(
        command=sys.executable,
        args=["-m", "doctune", "mcp", "--index", str(corpus.index), "--group", "nobody"],
    )

    async def run() -> tuple[set[str], str, str]:
        async with (
            asyncio.timeout(120),
            stdio_client(command) as (reading, writing),
            ClientSession(reading, writing) as session,
        ):
            await session.initialize()
            names = {tool.name for tool in (await session.list_tools()).tools}
            said = await session.call_tool("ask_documents", {"question": QUESTION})
            found = await session.call_tool("search_documents", {"query": "partner price"})
            return names, _text(said), _text(found)

    names, said, found = asyncio.run(run())
    assert names == {"search_documents", "ask_documents"}
    assert "14 days" in said
    assert "412" not in found


def _text(result: object) -> str:
    return json.dumps([part.model_dump(mode="json") for part in result.content])  # type: ignore[attr-defined]
