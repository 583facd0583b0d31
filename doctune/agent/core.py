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
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from doctune.agent.citing import cite
from doctune.agent.context import NO_SUMMARY, Context, Summary, build_context, readable
from doctune.agent.followups import Turn, standalone
from doctune.agent.messages import EXTRACTIVE, Citation, Message, Reply, Speaker
from doctune.agent.model_facts import read_model_facts
from doctune.agent.options import AgentOptions
from doctune.agent.orders import without_orders
from doctune.agent.rewriting import rewritten
from doctune.agent.stages import Stage, StageAnswer, Stages
from doctune.agent.summaries import Summaries
from doctune.agent.support import unsupported
from doctune.dataset.text import collapse
from doctune.errors import UsageError
from doctune.evaluation.answer_accuracy import says_nothing
from doctune.knowledge import Answerer, Source
from doctune.knowledge.filters import EVERYTHING, Filter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from doctune.agent.toolbox import Toolbox
    from doctune.knowledge import Answer

logger = logging.getLogger("doctune.agent")
# One search at a time in a process: each uses a core whole, and several would only wait for it.
_SEARCHING = threading.Lock()


class Agent:
    """Answers conversations from an index, with or without models."""

    def __init__(
        self,
        answerer: Answerer,
        stages: Sequence[Stage] = (),
        options: AgentOptions | None = None,
        tools: Toolbox | None = None,
    ) -> None:
        """Prepares an agent.

        Args:
            stages: The models to ask, in order; quoting the documents always comes last.
            tools: Functions that are offered to stages whose model can call tools.

        Raises:
            DatasetError: `options.tokenizer` is not a tokenizer.
        """
        self.answerer = answerer
        self.stages = Stages(stages)
        self.options = options or AgentOptions()
        self._model = read_model_facts(self.options.tokenizer)
        self._summaries = Summaries(self.stages)
        self._tools = tools if tools and self.stages.call_tools else None

    @classmethod
    def open(
        cls,
        index: Path,
        stages: Sequence[Stage] = (),
        options: AgentOptions | None = None,
        tools: Toolbox | None = None,
    ) -> Agent:
        """Opens the index in a folder.

        Raises:
            StorageError: The folder has no index.
        """
        return cls(Answerer.open(index), stages, options, tools)

    def warm_up(self) -> None:
        """Loads the encoder and the index; blocks for some seconds."""
        with _SEARCHING:
            self.answerer.index.warm_up()

    @property
    def asks_models(self) -> bool:
        """Whether models are asked, by the options or by the evaluation's decision."""
        way = self.options.answering
        if way == "auto":
            way = "quote" if self.answerer.index.record.answering == "quote" else "model"
        return way == "model" and bool(self.stages.names)

    @property
    def _rewrites(self) -> bool:
        return self.options.follow_ups == "model" and self.asks_models

    def ask(
        self,
        question: str,
        earlier: Sequence[Turn] = (),
        groups: Collection[str] | None = None,
        only: Filter = EVERYTHING,
    ) -> Reply:
        """Answers one question, for callers without an event loop."""
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
            groups: The access groups of the asker; None sees everything.
            only: The documents to search.

        Raises:
            UsageError: The last message is not a user's.
        """
        earlier, asked = read_turns(messages)
        ask = _Ask(standalone(asked, earlier), earlier, groups, only)
        if self._rewrites and earlier and ask.question == collapse(asked):
            with ask.clock.part("rewrite"):
                ask = replace(ask, question=await rewritten(ask.question, earlier, self.stages))
        with ask.clock.part("find"):
            quoted = await asyncio.to_thread(self._quoted, ask)
        if self.asks_models and (self._tools or not quoted.refused):
            reply = await self._by_model(ask, quoted)
        else:
            reply = await self._without_model(ask, quoted)
        if reply.left_out:
            logger.info("The model was not shown all: %s", reply.left_out)
        return replace(reply, seconds=ask.clock.seconds)

    def _quoted(self, ask: _Ask) -> Answer:
        with _SEARCHING:
            answer = self.answerer.answer(ask.question, ask.groups, ask.only)
        sources = tuple(map(without_foreign_orders, answer.sources))
        words = "\n".join(_clean(line) for line in answer.answer.split("\n"))
        return replace(answer, answer=words.strip(), sources=sources)

    def places(
        self,
        question: str,
        top: int,
        groups: Collection[str] | None = None,
        only: Filter = EVERYTHING,
        *,
        continued: bool = False,
    ) -> tuple[Source, ...]:
        """Returns the best passages for a question, without instructions to a model. Blocks.

        Args:
            groups: The access groups of the asker; None sees everything.
            continued: Whether one that breaks off brings the next one, as a model needs it.
        """
        with _SEARCHING:
            places = self.answerer.places(question, top, groups, only)
            if continued:
                places = self.answerer.continued(places)
        return tuple(map(without_foreign_orders, places))

    async def _by_model(self, ask: _Ask, quoted: Answer) -> Reply:
        most = self.options.passages
        with ask.clock.part("find"):
            places = await asyncio.to_thread(
                self.places, ask.question, most * 2, ask.groups, ask.only, continued=True
            )
        with ask.clock.part("summary"):
            summary = await self._summary(ask.earlier)
        invented: tuple[str, ...] = ()
        left_out = ""
        for attempt in (places[:most], places[most:]):
            context = build_context(
                ask.question, attempt, ask.earlier, self.options, self._model, summary
            )
            left_out = context.left_out
            if not context.shown and (invented or not self._tools):
                break
            with ask.clock.part("model"):
                answer = await self.stages.ask(
                    context.messages, self.options.answer_tokens, self._tools
                )
            if answer is None:
                break
            said, speaker = answer
            # Where the documents do not say, only a tool can.
            if says_nothing(said.text) or (quoted.refused and not said.used):
                if not invented:
                    return await self._refusal(ask, quoted.confidence, speaker)
                break
            held = [*_texts(context.shown), *(use.result for use in said.used)]
            missing = unsupported(said.text, ask.question, held)
            if not missing and said.text.strip():
                return self._of_model(ask.question, said, speaker, context, quoted)
            invented = invented or missing
            logger.info("A model said what no passage holds: %s", ", ".join(missing))
        reply = await self._without_model(ask, quoted, fallback=True)
        return replace(reply, left_out=left_out)

    async def _summary(self, earlier: Sequence[Turn]) -> Summary:
        """Returns a summary of the turns that are too old to be shown in full."""
        older = earlier[: max(0, len(earlier) - self.options.turns)]
        if self.options.summaries == "sentences" or not older:
            return NO_SUMMARY
        return Summary(await self._summaries.of(older), len(older))

    def _of_model(
        self, question: str, said: StageAnswer, speaker: Speaker, context: Context, quoted: Answer
    ) -> Reply:
        text = readable(said.text).strip()
        text, sources = cite(text, context.shown, always=not said.used)
        return Reply(
            text=text,
            question=question,
            speaker=speaker,
            sources=sources,
            confidence=quoted.confidence,
            tools=said.used,
            left_out=context.left_out,
            prompt_tokens=said.prompt_tokens,
            completion_tokens=said.completion_tokens,
        )

    async def _without_model(self, ask: _Ask, quoted: Answer, *, fallback: bool = False) -> Reply:
        """Quotes the documents, or refuses."""
        speaker = Speaker(stage=EXTRACTIVE, fallback=fallback)
        if quoted.refused:
            return await self._refusal(ask, quoted.confidence, speaker)
        text, sources = cite(quoted.answer or quoted.sources[0].text, quoted.sources)
        return Reply(
            text=text,
            question=ask.question,
            speaker=speaker,
            sources=sources,
            unsupported=unsupported(text, ask.question, _texts(quoted.sources)),
            confidence=quoted.confidence,
        )

    async def _refusal(self, ask: _Ask, confidence: float, speaker: Speaker) -> Reply:
        closest: tuple[Citation, ...] = ()
        if self.options.closest:
            with ask.clock.part("closest"):
                places = await asyncio.to_thread(
                    self.places, ask.question, self.options.closest, ask.groups, ask.only
                )
            closest = tuple(Citation(number, one) for number, one in enumerate(places, 1))
        lines = [self.options.refusal]
        if closest:
            lines.append("The closest places:")
            lines += [f"- {_where(one.source)}" for one in closest]
        return Reply(
            text="\n".join(lines),
            question=ask.question,
            speaker=speaker,
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
    """Returns the text that an answer may draw on: titles, headings and passages."""
    return [" ".join([one.title, *one.heading, one.text]) for one in sources]


def _where(source: Source) -> str:
    heading = f" ({source.heading[-1]})" if source.heading else ""
    return f"{source.file}, page {source.page}{heading}"


class _Clock:
    """Measures the seconds of each part of an answer."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Adds the duration of the block to a part."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


@dataclass(frozen=True)
class _Ask:
    """One question, with the earlier turns, the asker's access groups and the search filter."""

    question: str
    earlier: Sequence[Turn]
    groups: Collection[str] | None
    only: Filter
    clock: _Clock = field(default_factory=_Clock)
