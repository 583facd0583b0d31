"""The agent as a tool of other agents: a typed Python function that they can call.

ADK, LangChain and pydantic-ai each take a function whose name, types and docstring say
what it does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING, Any

from doctune.agent.messages import Message
from doctune.knowledge.filters import Filter

if TYPE_CHECKING:
    from doctune.agent.core import Agent
    from doctune.agent.messages import Reply

_MOST_PASSAGES = 20


def as_tool(
    agent: Agent, groups: Collection[str] | None = None
) -> Callable[..., Awaitable[dict[str, Any]]]:
    """Returns `ask_documents`, which answers one question from the documents.

    Args:
        groups: The access groups of the users for whom it is called; None sees everything.
    """

    async def ask_documents(
        question: str, document: str = "", language: str = "", since: str = "", until: str = ""
    ) -> dict[str, Any]:
        """Answers a question from the documents, with the file and page that it stands on.

        Args:
            question: One question that can be read alone.
            document: Only files whose path matches this pattern, as `manual*.pdf`; empty for all.
            language: Only documents in this language, as `en`; empty for all.
            since: Only documents of this date or later, as `2026-03-01`; empty for all.
            until: Only documents of this date or earlier; empty for all.
        """
        only = _only(document, language, since, until)
        return reply_document(await agent.answer([Message("user", question)], groups, only))

    return ask_documents


def as_search_tool(
    agent: Agent, groups: Collection[str] | None = None
) -> Callable[..., Awaitable[list[dict[str, Any]]]]:
    """Returns `search_documents`, which finds passages.

    Args:
        groups: The access groups of the users for whom it is called; None sees everything.
    """

    async def search_documents(
        query: str,
        top: int = 5,
        document: str = "",
        language: str = "",
        since: str = "",
        until: str = "",
    ) -> list[dict[str, Any]]:
        """Finds the passages of the documents that fit a query, best first.

        Args:
            query: What to look for.
            top: How many passages, at most 20.
            document: Only files whose path matches this pattern, as `manual*.pdf`; empty for all.
            language: Only documents in this language, as `en`; empty for all.
            since: Only documents of this date or later, as `2026-03-01`; empty for all.
            until: Only documents of this date or earlier; empty for all.
        """
        most = max(1, min(top, _MOST_PASSAGES))
        only = _only(document, language, since, until)
        found = await asyncio.to_thread(agent.places, query, most, groups, only)
        return [
            {
                "document": one.file,
                "page": one.page,
                "heading": list(one.heading),
                "text": one.text,
            }
            for one in found
        ]

    return search_documents


def _only(document: str, language: str, since: str, until: str) -> Filter:
    return Filter(
        documents=(document,) if document else (),
        languages=(language,) if language else (),
        since=since,
        until=until,
    )


def reply_document(reply: Reply) -> dict[str, Any]:
    """Returns a reply as a JSON object."""
    return {
        "answer": reply.text,
        "refused": reply.refused,
        "sources": [one.document() for one in reply.sources],
        "closest": [one.document() for one in reply.closest],
        "answered_by": reply.speaker.stage,
    }
