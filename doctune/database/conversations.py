"""Conversations: create, lock for a turn, extend, read, list, delete. Each has one owner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, Engine, delete, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from doctune.database.leases import take
from doctune.database.tables import Conversation, ConversationMessage


@dataclass(frozen=True, slots=True)
class ConversationKey:
    """The key of a conversation: its id is unique per owner."""

    owner: str
    conversation: str

    @property
    def is_it(self) -> ColumnElement[bool]:
        """The condition of the conversation's row."""
        return (Conversation.owner == self.owner) & (Conversation.id == self.conversation)

    @property
    def is_in_it(self) -> ColumnElement[bool]:
        """The condition of its messages' rows."""
        return (ConversationMessage.owner == self.owner) & (
            ConversationMessage.conversation_id == self.conversation
        )


@dataclass(frozen=True, slots=True)
class NewConversation:
    """The properties of a new conversation."""

    agent: str
    title: str
    end_user: str | None = None


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message; `parent_id` is the message that it follows, "" for the first."""

    id: str
    parent_id: str
    role: Literal["user", "assistant"]
    content: str
    created_at: datetime
    details: dict[str, Any]


def take_turn(
    engine: Engine, place: ConversationKey, new: NewConversation, lease: str, length: timedelta
) -> bool:
    """Locks a conversation for a turn, and creates it if needed; False if another turn has it."""
    now = datetime.now(UTC)
    held = (Conversation.held_by, Conversation.held_until)
    with engine.begin() as connection:
        if take(connection, place.is_it, held, lease, now + length, now):
            return True
        if connection.execute(select(Conversation.id).where(place.is_it)).first() is not None:
            return False
    row = Conversation(
        owner=place.owner,
        id=place.conversation,
        agent=new.agent,
        title=new.title,
        end_user=new.end_user,
        last_message="",
        created_at=now,
        updated_at=now,
        held_by=lease,
        held_until=now + length,
    )
    try:
        with Session(engine) as session, session.begin():
            session.add(row)
    except IntegrityError:  # another request made it just now
        return False
    return True


def end_turn(engine: Engine, place: ConversationKey, lease: str) -> None:
    """Releases a conversation after a turn; an empty one is deleted."""
    held = (place.is_it) & (Conversation.held_by == lease)
    with engine.begin() as connection:
        connection.execute(delete(Conversation).where(held, Conversation.last_message == ""))
        connection.execute(update(Conversation).where(held).values(held_by=None, held_until=None))


def add_messages(
    engine: Engine, place: ConversationKey, lease: str, messages: Sequence[NewMessage]
) -> bool:
    """Adds all messages or none; False if the turn's lock is lost."""
    statement = (
        update(Conversation)
        .where(place.is_it, Conversation.held_by == lease)
        .values(last_message=messages[-1].id, updated_at=messages[-1].created_at)
        .returning(Conversation.id)
    )
    with Session(engine) as session, session.begin():
        if session.execute(statement).first() is None:
            return False
        session.add_all(_row(place, one) for one in messages)
    return True


def message(engine: Engine, place: ConversationKey, message_id: str) -> NewMessage | None:
    """Returns a message of a conversation by its id, or None."""
    statement = select(ConversationMessage).where(
        place.is_in_it, ConversationMessage.id == message_id
    )
    with Session(engine) as session:
        row = session.scalars(statement).one_or_none()
        return _said(row) if row is not None else None


def messages(engine: Engine, place: ConversationKey) -> list[NewMessage]:
    """Returns all messages of a conversation, including all branches, earliest first."""
    statement = (
        select(ConversationMessage)
        .where(place.is_in_it)
        .order_by(ConversationMessage.created_at, ConversationMessage.role.desc())
    )
    with Session(engine) as session:
        return [_said(row) for row in session.scalars(statement)]


def path(engine: Engine, place: ConversationKey, last: str | None = None) -> list[NewMessage]:
    """Returns the path of messages up to and including one; None takes the latest message."""
    if last is None:
        row = find(engine, place)
        last = row.last_message if row is not None else ""
    known = {one.id: one for one in messages(engine, place)}
    found: list[NewMessage] = []
    while last and last in known:
        found.insert(0, known[last])
        last = known[last].parent_id
    return found


def find(engine: Engine, place: ConversationKey) -> Conversation | None:
    """Returns a conversation of an owner by its id, or None."""
    with Session(engine) as session:
        row = session.scalars(select(Conversation).where(place.is_it)).one_or_none()
        session.expunge_all()
        return row


def list_conversations(
    engine: Engine, owner: str, most: int, before: datetime | None = None
) -> list[Conversation]:
    """Returns an owner's conversations, latest first."""
    statement = select(Conversation).where(
        Conversation.owner == owner, Conversation.last_message != ""
    )
    if before is not None:
        statement = statement.where(Conversation.updated_at < before)
    statement = statement.order_by(Conversation.updated_at.desc(), Conversation.id).limit(most)
    with Session(engine) as session:
        rows = list(session.scalars(statement))
        session.expunge_all()
    return rows


def delete_conversation(engine: Engine, place: ConversationKey) -> bool:
    """Deletes a conversation with its messages; False if its owner has no such conversation."""
    with engine.begin() as connection:
        connection.execute(delete(ConversationMessage).where(place.is_in_it))
        return connection.execute(delete(Conversation).where(place.is_it)).rowcount > 0


def expire_conversations(engine: Engine, before: datetime) -> int:
    """Deletes the conversations without messages since a moment; returns how many."""
    with Session(engine) as session:
        old = session.execute(
            select(Conversation.owner, Conversation.id).where(
                Conversation.updated_at < before,
                or_(
                    Conversation.held_until.is_(None),
                    Conversation.held_until < datetime.now(UTC),
                ),
            )
        ).all()
    return sum(delete_conversation(engine, ConversationKey(owner, name)) for owner, name in old)


def forget_conversations(engine: Engine, end_user: str) -> int:
    """Deletes the conversations of a person; returns how many.

    Args:
        end_user: As stored, which may be a hash.
    """
    with Session(engine) as session:
        theirs = session.execute(
            select(Conversation.owner, Conversation.id).where(Conversation.end_user == end_user)
        ).all()
    return sum(delete_conversation(engine, ConversationKey(owner, name)) for owner, name in theirs)


def _row(place: ConversationKey, one: NewMessage) -> ConversationMessage:
    return ConversationMessage(
        owner=place.owner,
        conversation_id=place.conversation,
        id=one.id,
        parent_id=one.parent_id,
        role=one.role,
        content=one.content.replace("\0", ""),  # Postgres keeps no zero characters
        created_at=one.created_at,
        details=one.details,
    )


def _said(row: ConversationMessage) -> NewMessage:
    role: Literal["user", "assistant"] = "user" if row.role == "user" else "assistant"
    return NewMessage(row.id, row.parent_id, role, row.content, row.created_at, row.details)
