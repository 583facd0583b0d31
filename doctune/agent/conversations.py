"""Stored conversations: one turn at a time, branches by editing a message, private to their owner.

What is said stands in the database, so a conversation goes on in another process and after a
restart. A turn holds a lease: whoever comes meanwhile waits, and is refused when it takes too long;
the lease of a process that died ends by itself.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from doctune.agent.messages import Message, Reply
from doctune.database import conversations as kept
from doctune.database.engine import Engine
from doctune.errors import DoctuneError

_TITLE_CHARACTERS = 80
_POLL_SECONDS = (0.05, 0.5)


class ConversationBusyError(DoctuneError):
    """Another turn of this conversation is in progress."""


class NoConversationError(DoctuneError):
    """The owner has no such conversation, or it has no such message."""


@dataclass(frozen=True, slots=True)
class OpenTurn:
    """A turn in progress.

    Attributes:
        messages: The messages before it, oldest first.
        after: The id of the message that it follows; "" at the start of a conversation.
    """

    owner: str
    conversation: str
    messages: tuple[Message, ...]
    after: str
    lease: str


class Conversations:
    """Stores the conversations of all owners."""

    def __init__(self, engine: Engine, wait_seconds: float = 10.0) -> None:
        """Uses the tables of a database.

        Args:
            wait_seconds: How long a second turn waits for the first one.
        """
        self._engine = engine
        self._wait_seconds = wait_seconds

    @asynccontextmanager
    async def turn(
        self,
        owner: str,
        conversation: str,
        agent: str,
        question: str,
        *,
        seconds: float,
        edits: str | None = None,
        end_user: str | None = None,
    ) -> AsyncIterator[OpenTurn]:
        """Locks a conversation for one turn; creates it if the owner has none with that id.

        Args:
            seconds: Maximum duration of the turn.
            edits: The id of the user's message that this one replaces, on a new branch.

        Raises:
            ConversationBusyError: Another turn does not finish in time.
            NoConversationError: The message to edit does not exist.
        """
        lease = secrets.token_hex(8)
        title = " ".join(question.split())[:_TITLE_CHARACTERS]
        deadline = time.monotonic() + self._wait_seconds
        pause = _POLL_SECONDS[0]
        while not await asyncio.to_thread(
            kept.take_turn,
            self._engine,
            kept.ConversationKey(owner, conversation),
            kept.NewConversation(agent, title, end_user),
            lease,
            timedelta(seconds=seconds),
        ):
            if time.monotonic() >= deadline:
                raise ConversationBusyError(
                    "another turn of this conversation is being answered: wait for it."
                )
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _POLL_SECONDS[1])
        place = kept.ConversationKey(owner, conversation)
        try:
            rows = await asyncio.to_thread(_path, self._engine, place, edits)
            said = tuple(Message(row.role, row.content) for row in rows)
            yield OpenTurn(owner, conversation, said, rows[-1].id if rows else "", lease)
        finally:
            await asyncio.to_thread(kept.end_turn, self._engine, place, lease)

    async def keep(
        self, turn: OpenTurn, question: str, reply: Reply, versions: dict[str, Any]
    ) -> tuple[str, str]:
        """Stores the question and the answer; returns the ids of both messages.

        Raises:
            ConversationBusyError: The turn took too long and has lost its lock.
        """
        asked, answered = secrets.token_hex(12), secrets.token_hex(12)
        now = datetime.now(UTC)
        said = [
            kept.NewMessage(
                asked, turn.after, "user", question, now, {"standalone": reply.question}
            ),
            kept.NewMessage(
                answered, asked, "assistant", reply.text, now, _details(reply, versions)
            ),
        ]
        place = kept.ConversationKey(turn.owner, turn.conversation)
        if not await asyncio.to_thread(kept.add_messages, self._engine, place, turn.lease, said):
            raise ConversationBusyError("the turn took too long: the conversation went on.")
        return asked, answered


def _path(
    engine: Engine, place: kept.ConversationKey, edits: str | None
) -> Sequence[kept.NewMessage]:
    """Returns the messages that precede a new one."""
    if edits is None:
        return kept.path(engine, place)
    edited = kept.message(engine, place, edits)
    if edited is None or edited.role != "user":
        raise NoConversationError("there is no message of yours to edit with that id.")
    return kept.path(engine, place, edited.parent_id) if edited.parent_id else []


def _details(reply: Reply, versions: dict[str, Any]) -> dict[str, Any]:
    return {
        "sources": [one.document() for one in reply.sources],
        "closest": [one.document() for one in reply.closest],
        "unsupported": list(reply.unsupported),
        "answered_by": reply.speaker.stage,
        "tools": [one.document() for one in reply.tools],
        "versions": {**versions, "model": reply.speaker.model_version},
        "left_out": reply.left_out,
    }
