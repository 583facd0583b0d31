"""Agents as models of the gateway: `handbook-agent` beside `handbook`, on the same wire.

An answer is checked before anyone sees it, so a stream begins when the whole answer is there; it is
then sent sentence by sentence. What OpenAI's answers have no field for (`sources`, `answered_by`,
`conversation`) stands beside `choices`, where its clients pass it through.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doctune.agent.conversations import (
    ConversationBusyError,
    Conversations,
    NoConversationError,
    OpenTurn,
)
from doctune.agent.messages import Message, Reply, ToolCall
from doctune.agent.page_picture import PageUnavailableError, page_picture
from doctune.agent.stages import StageAnswer, StageError
from doctune.chat_schema import ChatRequest, ChatTurn
from doctune.chat_wire import event
from doctune.database.engine import DatabaseError
from doctune.dataset.text import sentences
from doctune.errors import UsageError
from doctune.gateway.followed_index import IndexPlace, read_place
from doctune.gateway.keys import Principal
from doctune.gateway.options import AgentModelOptions, ModelOptions
from doctune.gateway.problems import GatewayError
from doctune.gateway.records import Exchange
from doctune.gateway.routing import Asked, Model, OpenStream
from doctune.gateway.upstreams import Answer, Piece, RefusedError, Source, Upstream, UpstreamError
from doctune.gateway.wire import Wire
from doctune.knowledge.filters import Filter

if TYPE_CHECKING:
    from doctune.agent.core import Agent
    from doctune.agent.gemini_stage import GeminiStage

EVERYBODY = "everybody"  # the group of documents without one of their own
CONVERSATION, EDITS = "conversation_id", "edit_message_id"
DOCUMENTS, LANGUAGES = "documents", "languages"  # each a list with commas
SINCE, UNTIL = "since", "until"  # dates
_TURN_MARGIN_SECONDS = 30.0
_FINISHED = "stop"


class UpstreamStage:
    """A stage of an agent: one of the gateway's upstreams."""

    def __init__(self, upstream: Upstream, seconds: float, *, calls_tools: bool = False) -> None:
        self.name = upstream.name
        self.seconds = seconds
        self.calls_tools = calls_tools
        self._upstream = upstream

    @property
    def versions(self) -> str:
        """Which versions answer now."""
        return self._upstream.address.versions()

    async def ask(self, messages: Sequence[Message], most_tokens: int) -> StageAnswer:
        """Returns what the model says at temperature 0."""
        return await self._ask(messages, most_tokens, {})

    async def ask_with_tools(
        self, messages: Sequence[Message], most_tokens: int, tools: Sequence[Mapping[str, Any]]
    ) -> StageAnswer:
        """Returns what the model says at temperature 0, or which tools it wants called."""
        beside = {"messages": [_wired(one) for one in messages], "tools": list(tools)}
        return await self._ask(messages, most_tokens, beside)

    async def _ask(
        self, messages: Sequence[Message], most_tokens: int, beside: Mapping[str, Any]
    ) -> StageAnswer:
        chat = ChatRequest(
            messages=[
                ChatTurn(role=one.role, content=one.content)
                for one in messages
                if one.role != "tool" and not one.calls
            ],
            temperature=0.0,
            max_tokens=most_tokens,
        )
        try:
            answer = await self._upstream.ask(chat, beside)
        except (UpstreamError, RefusedError) as error:
            raise StageError(str(error)) from error
        return StageAnswer(
            text=answer.text,
            calls=tuple(ToolCall(one.id, one.name, one.arguments) for one in answer.calls),
            model_version=answer.source.model_version,
            deployed_model_id=answer.source.deployed_model_id,
            prompt_tokens=answer.prompt_tokens,
            completion_tokens=answer.completion_tokens,
        )


class AgentModel(Model):
    """A model that finds, asks and cites."""

    def __init__(
        self,
        name: str,
        options: AgentModelOptions,
        agent: Agent,
        stages: Sequence[UpstreamStage | GeminiStage],
        conversations: Conversations,
    ) -> None:
        queue = ModelOptions(
            upstreams=["http://unused"],
            max_in_flight=options.max_in_flight,
            max_waiting=options.max_waiting,
            queue_seconds=options.queue_seconds,
        )
        super().__init__(name, queue, [])
        self.agent = agent
        self.index = options.index
        self.place_of_index: IndexPlace = read_place(options.index)
        self.pdfs = Path(options.pdfs) if options.pdfs else None
        self.conversations = conversations
        self._stages = stages

    def versions(self) -> str:
        """Returns what answers depend on; "" where it is not known."""
        index = self.agent.answerer.index.record.digest
        if not self.agent.asks_models:
            return f"quote {index}"
        known = [stage.versions for stage in self._stages]
        return f"{index} {' '.join(known)}" if all(known) else ""

    async def refresh(self) -> None:
        """Does nothing: the documents answer even if no model does."""

    @property
    def turn_seconds(self) -> float:
        """The longest that a turn may take: each stage twice."""
        return 2 * self.agent.stages.seconds + _TURN_MARGIN_SECONDS

    def bound(self, exchange: Exchange) -> Asked:
        """Returns the agent as one exchange asks it: it finds what its asker may see."""
        return BoundAgent(self, exchange)

    def wire(self, wire: Wire) -> Wire:
        """Returns the wire on which it answers."""
        return WithExtra(wire)

    def warm_up(self) -> None:
        """Loads the encoder. Blocks."""
        self.agent.warm_up()

    async def picture(self, source_id: str, principal: Principal) -> bytes | None:
        """Returns the picture of a source's page; None where its asker sees no such source.

        Raises:
            PageUnavailableError: The page cannot be shown.
        """
        source = self.agent.answerer.source(source_id, groups_of(principal))
        if source is None:
            return None
        if self.pdfs is None:
            raise PageUnavailableError(f"the agent {self.name} has no folder of PDFs.")
        return await asyncio.to_thread(page_picture, self.pdfs, source)


class BoundAgent:
    """An agent for one exchange: who asks decides what can be found."""

    def __init__(self, model: AgentModel, exchange: Exchange) -> None:
        self.name = model.name
        self._model = model
        self._exchange = exchange
        self._groups = groups_of(exchange.principal)
        metadata = exchange.chat.metadata or {}
        self._conversation = metadata.get(CONVERSATION, "")[:64]
        self._edits = metadata.get(EDITS) or None
        self._only = _filter(metadata)

    def versions(self) -> str:
        """Returns what an equal request's answer depends on; "" in a conversation that is kept."""
        known = self._model.versions()
        if self._conversation or not known:
            return ""
        return f"{known} {json.dumps(sorted(self._groups))}"

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Holds one of the agent's places for the block."""
        async with self._model.place():
            yield

    async def ask(self, chat: ChatRequest) -> tuple[Answer, bool]:
        """Returns an answer, and whether it is a fallback's.

        Raises:
            GatewayError: The conversation is busy, or cannot be read or kept.
        """
        try:
            async with AsyncExitStack() as stack:
                turn = await self._turn(chat, stack)
                messages = self._messages(chat, turn)
                reply = await self._model.agent.answer(messages, self._groups, self._only)
                extra = _extra(reply)
                if turn is not None:
                    asked, answered = await self._model.conversations.keep(
                        turn, chat.messages[-1].text, reply, self._versions()
                    )
                    extra["conversation"] = {
                        "id": turn.conversation,
                        "question_id": asked,
                        "answer_id": answered,
                    }
        except ConversationBusyError as error:
            raise GatewayError(409, str(error), code="conversation_busy", retry_after=1) from error
        except NoConversationError as error:
            raise GatewayError(404, str(error), code="message_not_found", param=EDITS) from error
        except DatabaseError as error:
            raise GatewayError(
                503, "Conversations cannot be read or kept now.", code="database_unavailable"
            ) from error
        return self._answer(reply, extra), reply.speaker.fallback

    @asynccontextmanager
    async def stream(self, chat: ChatRequest) -> AsyncIterator[OpenStream]:
        """Opens a stream of an answer that is whole."""
        answer, fallback = await self.ask(chat)
        self._exchange.extra = answer.extra
        yield OpenStream(answer.source, _pieces(answer), fallback)

    async def _turn(self, chat: ChatRequest, stack: AsyncExitStack) -> OpenTurn | None:
        if not self._conversation:
            return None
        return await stack.enter_async_context(
            self._model.conversations.turn(
                self._exchange.principal.owner,
                self._conversation,
                self.name,
                chat.messages[-1].text,
                seconds=self._model.turn_seconds,
                edits=self._edits,
                end_user=self._exchange.end_user,
            )
        )

    def _messages(self, chat: ChatRequest, turn: OpenTurn | None) -> list[Message]:
        asked = Message("user", chat.messages[-1].text)
        if turn is not None:
            return [*turn.messages, asked]  # what is kept counts, whatever the client repeats
        said = [Message(_role(one.role), one.text) for one in chat.messages[:-1]]
        return [*said, asked]

    def _answer(self, reply: Reply, extra: dict[str, Any]) -> Answer:
        # A quotation is of no model, but its index was released with one.
        version = reply.speaker.model_version or self._model.place_of_index.version
        return _answer(reply, extra, version)

    def _versions(self) -> dict[str, Any]:
        return {"index": self._model.agent.answerer.index.record.digest}


class WithExtra:
    """Adds an agent's fields, such as `sources`, to the answers of a wire."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def whole(self, exchange: Exchange) -> dict[str, Any]:
        """Returns the body of a whole answer."""
        return {**self._wire.whole(exchange), **exchange.extra}

    def start(self, exchange: Exchange) -> bytes:
        """Returns what a stream begins with."""
        return self._wire.start(exchange)

    def piece(self, exchange: Exchange, text: str) -> bytes:
        """Returns the event of a piece of text."""
        return self._wire.piece(exchange, text)

    def end(self, exchange: Exchange) -> Iterator[bytes]:
        """Yields the last events; the one with the reason has what the agent adds."""
        first, *rest = self._wire.end(exchange)
        document = json.loads(first.removeprefix(b"data:"))
        yield event({**document, **exchange.extra})
        yield from rest


def _wired(message: Message) -> dict[str, Any]:
    """Returns a message as OpenAI's wire has it, with calls of tools and their results."""
    if message.role == "tool":
        return {"role": "tool", "content": message.content, "tool_call_id": message.answers}
    document: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.calls:
        document["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in message.calls
        ]
    return document


def groups_of(principal: Principal) -> frozenset[str]:
    """Returns the groups whose documents somebody may find: their own, and everybody's."""
    return principal.groups | {EVERYBODY}


def _filter(metadata: Mapping[str, str]) -> Filter:
    """Returns the documents to which a request limits itself.

    Raises:
        GatewayError: A date is none.
    """
    try:
        return Filter(
            documents=_listed(metadata, DOCUMENTS),
            languages=_listed(metadata, LANGUAGES),
            since=metadata.get(SINCE, "").strip(),
            until=metadata.get(UNTIL, "").strip(),
        )
    except UsageError as error:
        raise GatewayError(400, str(error), code="invalid_date", param="metadata") from error


def _listed(metadata: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in metadata.get(name, "").split(",") if part.strip())


def _role(role: str) -> Any:
    return "system" if role == "developer" else role


def _extra(reply: Reply) -> dict[str, Any]:
    return {
        "sources": [one.document() for one in reply.sources],
        "closest": [one.document() for one in reply.closest],
        "answered_by": reply.speaker.stage,
        "tools": [one.document() for one in reply.tools],
        "standalone_question": reply.question,
        "unsupported": list(reply.unsupported),
        "confidence": round(reply.confidence, 4),
    }


def _answer(reply: Reply, extra: dict[str, Any], version: str) -> Answer:
    return Answer(
        text=reply.text,
        finish_reason=_FINISHED,
        prompt_tokens=reply.prompt_tokens,
        completion_tokens=reply.completion_tokens,
        source=Source(
            upstream=reply.speaker.stage,
            model_version=version,
            deployed_model_id=reply.speaker.deployed_model_id,
        ),
        extra=extra,
    )


async def _pieces(answer: Answer) -> AsyncIterator[Piece]:
    """Yields an answer sentence by sentence; what is yielded is the text, to the letter."""
    start = 0
    for sentence in sentences(answer.text):
        at = answer.text.find(sentence, start)
        if at < 0:
            break
        yield Piece(text=answer.text[start : at + len(sentence)])
        start = at + len(sentence)
    if answer.text[start:]:
        yield Piece(text=answer.text[start:])
    yield Piece(
        finish_reason=answer.finish_reason,
        prompt_tokens=answer.prompt_tokens,
        completion_tokens=answer.completion_tokens,
    )
