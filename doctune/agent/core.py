"""The agent: takes a conversation, returns an answer with its sources. It knows no HTTP.

The question is put so that it stands alone, the index says whether the documents answer it, and
the answer comes from the first stage that gives one, or from the documents' own words. What a model
says is held against its passages: where none of them has a number, name or date of it, it is asked
again with other passages, and then gives way to what the documents do say.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Collection, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from doctune.agent.citing import cite
from doctune.agent.context import Context, build_context, readable
from doctune.agent.followups import Turn, standalone
from doctune.agent.messages import EXTRACTIVE, Citation, Message, Reply, Speaker
from doctune.agent.options import AgentOptions
from doctune.agent.orders import without_orders
from doctune.agent.stages import Said, Stage, Stages
from doctune.agent.support import unsupported
from doctune.errors import UsageError
from doctune.evaluation.answer_accuracy import says_nothing
from doctune.knowledge import Answerer, Source
from doctune.knowledge.filters import EVERYTHING, Filter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from doctune.knowledge import Answer

logger = logging.getLogger("doctune.agent")
# One search at a time in a process: each uses a core whole, and several would only wait for it.
_SEARCHING = threading.Lock()


class Agent:
    """Answers conversations from an index, with models or without."""

    def __init__(
        self,
        answerer: Answerer,
        stages: Sequence[Stage] = (),
        options: AgentOptions | None = None,
    ) -> None:
        """Prepares it.

        Args:
            stages: Models to ask, in order; the documents' own words come last in any case.
        """
        self.answerer = answerer
        self.stages = Stages(stages)
        self.options = options or AgentOptions()

    @classmethod
    def open(
        cls, index: Path, stages: Sequence[Stage] = (), options: AgentOptions | None = None
    ) -> Agent:
        """Opens the index in a folder.

        Raises:
            StorageError: There is none.
        """
        return cls(Answerer.open(index), stages, options)

    def warm_up(self) -> None:
        """Loads encoder and index before the first question; may take seconds."""
        with _SEARCHING:
            self.answerer.index.warm_up()

    @property
    def asks_models(self) -> bool:
        """Whether models are asked: by the options, or as the evaluation decided."""
        way = self.options.answering
        if way == "auto":
            way = "quote" if self.answerer.index.record.answering == "quote" else "model"
        return way == "model" and bool(self.stages.names)

    def ask(
        self,
        question: str,
        earlier: Sequence[Turn] = (),
        groups: Collection[str] | None = None,
        only: Filter = EVERYTHING,
    ) -> Reply:
        """Answers one question; for callers without an event loop."""
        messages = [Message("user", question)]
        for turn in reversed(earlier):
            messages[:0] = [Message("user", turn.question), Message("assistant", turn.answer)]
        return asyncio.run(self.answer(messages, groups, only))

    async def answer(
        self,
        messages: Sequence[Message],
        groups: Collection[str] | None = None,
        only: Filter = EVERYTHING,
    ) -> Reply:
        """Answers the last message of a conversation.

        Args:
            messages: The conversation; the last one is the user's.
            groups: The access groups of who asks; None sees everything.
            only: The documents to search.

        Raises:
            UsageError: The last message is not a user's.
        """
        clock = _Clock()
        earlier, asked = read_turns(messages)
        question = standalone(asked, earlier)
        with clock.part("find"):
            quoted = await asyncio.to_thread(self._quoted, question, groups, only)
        if quoted.refused:
            with clock.part("closest"):
                reply = await self._refusal(question, groups, only, quoted.confidence)
        elif self.asks_models:
            reply = await self._by_model(question, earlier, quoted, groups, only, clock)
        else:
            reply = self._by_quotation(question, quoted)
        if reply.left_out:
            logger.info("The model was not shown all: %s", reply.left_out)
        return replace(reply, seconds=clock.seconds)

    def _quoted(self, question: str, groups: Collection[str] | None, only: Filter) -> Answer:
        with _SEARCHING:
            answer = self.answerer.answer(question, groups, only)
        sources = tuple(map(without_foreign_orders, answer.sources))
        words = "\n".join(_clean(line) for line in answer.answer.split("\n"))
        return replace(answer, answer=words.strip(), sources=sources)

    def places(
        self,
        question: str,
        top: int,
        groups: Collection[str] | None = None,
        only: Filter = EVERYTHING,
    ) -> tuple[Source, ...]:
        """Returns the passages that fit a question best, without orders to a model; may block.

        Args:
            groups: The access groups of who asks; None sees everything.
        """
        with _SEARCHING:
            places = self.answerer.places(question, top, groups, only)
        return tuple(map(without_foreign_orders, places))

    async def _by_model(
        self,
        question: str,
        earlier: Sequence[Turn],
        quoted: Answer,
        groups: Collection[str] | None,
        only: Filter,
        clock: _Clock,
    ) -> Reply:
        most = self.options.passages
        with clock.part("find"):
            places = await asyncio.to_thread(self.places, question, most * 2, groups, only)
        invented: tuple[str, ...] = ()
        left_out = ""
        for attempt in (places[:most], places[most:]):
            context = build_context(question, attempt, earlier, self.options)
            left_out = context.left_out
            if not context.shown:
                break
            with clock.part("model"):
                asked = await self.stages.ask(context.messages, self.options.answer_tokens)
            if asked is None:
                return self._by_quotation(question, quoted, fallback=True)
            said, speaker = asked
            if says_nothing(said.text):
                if attempt is places[:most] or not invented:
                    return await self._refusal(question, groups, only, quoted.confidence, speaker)
                break
            missing = unsupported(said.text, question, _texts(context.shown))
            if not missing and said.text.strip():
                return self._of_model(question, said, speaker, context, quoted)
            invented = invented or missing
            logger.info("A model said what no passage holds: %s", ", ".join(missing))
        reply = self._by_quotation(question, quoted, fallback=True)
        return replace(reply, unsupported=reply.unsupported, left_out=left_out)

    def _of_model(
        self, question: str, said: Said, speaker: Speaker, context: Context, quoted: Answer
    ) -> Reply:
        text, sources = cite(readable(said.text).strip(), context.shown)
        return Reply(
            text=text,
            question=question,
            speaker=speaker,
            sources=sources,
            confidence=quoted.confidence,
            left_out=context.left_out,
            prompt_tokens=said.prompt_tokens,
            completion_tokens=said.completion_tokens,
        )

    def _by_quotation(self, question: str, quoted: Answer, *, fallback: bool = False) -> Reply:
        text, sources = cite(quoted.answer or quoted.sources[0].text, quoted.sources)
        return Reply(
            text=text,
            question=question,
            speaker=Speaker(stage=EXTRACTIVE, fallback=fallback),
            sources=sources,
            unsupported=unsupported(text, question, _texts(quoted.sources)),
            confidence=quoted.confidence,
        )

    async def _refusal(
        self,
        question: str,
        groups: Collection[str] | None,
        only: Filter,
        confidence: float,
        speaker: Speaker | None = None,
    ) -> Reply:
        closest: tuple[Citation, ...] = ()
        if self.options.closest:
            places = await asyncio.to_thread(
                self.places, question, self.options.closest, groups, only
            )
            closest = tuple(Citation(number, one) for number, one in enumerate(places, 1))
        lines = [self.options.refusal]
        if closest:
            lines.append("The closest places:")
            lines += [f"- {_where(one.source)}" for one in closest]
        return Reply(
            text="\n".join(lines),
            question=question,
            speaker=speaker or Speaker(stage=EXTRACTIVE),
            closest=closest,
            confidence=confidence,
        )


def read_turns(messages: Sequence[Message]) -> tuple[list[Turn], str]:
    """Returns the earlier turns, made self-contained, and the current question.

    Raises:
        UsageError: The last message is not a user's.
    """
    if not messages or messages[-1].role != "user":
        raise UsageError("the last message must be a user's: it is what is asked.")
    turns: list[Turn] = []
    question = ""
    for message in messages[:-1]:
        if message.role == "user":
            question = message.content
        elif message.role == "assistant" and question:
            turns.append(Turn(standalone(question, turns), message.content))
            question = ""
    return turns, messages[-1].content


def without_foreign_orders(source: Source) -> Source:
    """Returns a source without invisible characters and without instructions to a model."""
    return replace(source, text=_clean(source.text), quote=_clean(source.quote))


def _clean(text: str) -> str:
    return without_orders(readable(text))[0]


def _texts(sources: Sequence[Source]) -> list[str]:
    """Returns all that an answer may take from sources: their headings say what they are of."""
    return [" ".join([one.title, *one.heading, one.text]) for one in sources]


def _where(source: Source) -> str:
    heading = f" ({source.heading[-1]})" if source.heading else ""
    return f"{source.file}, page {source.page}{heading}"


class _Clock:
    """Counts the seconds of each part."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Counts what the block takes."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started
