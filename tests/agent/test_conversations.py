"""Conversations in the database: one turn at a time, branches, owners, expiry."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from doctune.agent import Reply, Speaker
from doctune.agent.conversations import (
    ConversationBusyError,
    Conversations,
    NoConversationError,
)
from doctune.database import conversations as kept
from doctune.database.engine import open_database
from doctune.database.schema import prepare


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    opened = open_database(f"sqlite:///{tmp_path}/gateway.db")
    prepare(opened)
    yield opened
    opened.dispose()


def reply(text: str) -> Reply:
    return Reply(text=text, question="?", speaker=Speaker(stage="extractive"))


def say(
    engine: Engine, question: str, answer: str, *, owner: str = "ana", edits: str | None = None
):
    """Takes a turn; returns what was said before it, and the ids of both messages."""

    async def run():
        store = Conversations(engine)
        async with store.turn(owner, "c", "agent", question, seconds=60, edits=edits) as turn:
            ids = await store.keep(turn, question, reply(answer), {"index": "d"})
            return [one.content for one in turn.messages], ids

    return asyncio.run(run())


def test_a_conversation_goes_on_where_it_ended(engine: Engine) -> None:
    assert say(engine, "One?", "1.")[0] == []
    assert say(engine, "Two?", "2.")[0] == ["One?", "1."]
    (row,) = kept.list_conversations(engine, "ana", 10)
    assert (row.id, row.title, row.agent) == ("c", "One?", "agent")
    said = kept.messages(engine, kept.ConversationKey("ana", "c"))
    assert [one.content for one in said] == ["One?", "1.", "Two?", "2."]
    assert said[1].details["versions"] == {"index": "d", "model": ""}


def test_editing_an_earlier_message_begins_a_branch(engine: Engine) -> None:
    say(engine, "One?", "1.")
    _, (second, _) = say(engine, "Two?", "2.")
    before, _ = say(engine, "Deux?", "II.", edits=second)
    assert before == ["One?", "1."]
    assert say(engine, "Trois?", "III.")[0] == ["One?", "1.", "Deux?", "II."]
    assert len(kept.messages(engine, kept.ConversationKey("ana", "c"))) == 8
    with pytest.raises(NoConversationError):
        say(engine, "?", "!", edits="nothing")


def test_no_owner_reaches_anothers_conversation_of_the_same_name(engine: Engine) -> None:
    _, (asked, _) = say(engine, "One?", "1.")
    assert say(engine, "Mine?", "Yes.", owner="bo")[0] == []
    with pytest.raises(NoConversationError):
        say(engine, "?", "!", owner="bo", edits=asked)
    assert kept.delete_conversation(engine, kept.ConversationKey("cy", "c")) is False
    assert kept.delete_conversation(engine, kept.ConversationKey("bo", "c")) is True
    assert [row.title for row in kept.list_conversations(engine, "ana", 10)] == ["One?"]
    assert kept.messages(engine, kept.ConversationKey("bo", "c")) == []


def test_a_second_turn_at_once_waits_and_one_that_waits_too_long_is_refused(
    engine: Engine,
) -> None:
    async def run() -> list[int]:
        seen: list[int] = []

        async def turn(question: str, store: Conversations, hold: float) -> None:
            async with store.turn("ana", "c", "agent", question, seconds=60) as held:
                seen.append(len(held.messages))
                await asyncio.sleep(hold)
                await store.keep(held, question, reply("."), {})

        first = asyncio.create_task(turn("One?", Conversations(engine), 0.3))
        await asyncio.sleep(0.1)
        with pytest.raises(ConversationBusyError):
            await turn("No?", Conversations(engine, wait_seconds=0), 0)
        await asyncio.gather(first, turn("Two?", Conversations(engine, wait_seconds=5), 0))
        return seen

    assert asyncio.run(run()) == [0, 2]


def test_the_lease_of_a_turn_that_died_ends(engine: Engine) -> None:
    place, new = kept.ConversationKey("ana", "c"), kept.NewConversation("agent", "?")
    assert kept.take_turn(engine, place, new, "dead", timedelta(seconds=-1))
    assert kept.take_turn(engine, place, new, "next", timedelta(seconds=60))
    assert not kept.take_turn(engine, place, new, "third", timedelta(seconds=60))
    late = [kept.NewMessage("m", "", "user", "?", datetime.now(UTC), {})]
    assert not kept.add_messages(engine, place, "dead", late)


def test_a_turn_that_fails_leaves_nothing_behind(engine: Engine) -> None:
    async def run() -> None:
        async with Conversations(engine).turn("ana", "c", "agent", "?", seconds=60):
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError):
        asyncio.run(run())
    assert kept.list_conversations(engine, "ana", 10) == []
    assert kept.find(engine, kept.ConversationKey("ana", "c")) is None


def test_old_conversations_expire_and_a_persons_are_forgotten(engine: Engine) -> None:
    say(engine, "One?", "1.")
    now = datetime.now(UTC)
    assert kept.expire_conversations(engine, now - timedelta(days=1)) == 0
    assert kept.expire_conversations(engine, now + timedelta(days=1)) == 1
    place = kept.ConversationKey("ana", "d")
    kept.take_turn(engine, place, kept.NewConversation("agent", "?", "hash"), "l", timedelta())
    assert kept.forget_conversations(engine, "hash") == 1
    assert kept.find(engine, place) is None
