"""Stages: the models to ask, in order, each with a time limit; a breaker skips dead ones."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from doctune.agent.messages import Message, Speaker
from doctune.breaker import Breaker

logger = logging.getLogger("doctune.agent")


class StageError(Exception):
    """A stage did not answer; the next one may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a model said."""

    text: str
    model_version: str = ""
    deployed_model_id: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Stage(Protocol):
    """A model that can be asked.

    Attributes:
        name: As replies name it.
        seconds: Its time limit.
    """

    name: str
    seconds: float

    async def ask(self, messages: Sequence[Message], most_tokens: int) -> Said:
        """Returns what the model says at temperature 0.

        Raises:
            StageError: It does not answer.
        """


class Stages:
    """Asks the stages in order until one answers."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self._stages = list(stages)
        self._breakers = [Breaker() for _ in stages]

    @property
    def names(self) -> tuple[str, ...]:
        """The stages in their order."""
        return tuple(stage.name for stage in self._stages)

    @property
    def seconds(self) -> float:
        """The longest that all of them together may take."""
        return sum(stage.seconds for stage in self._stages)

    async def ask(
        self, messages: Sequence[Message], most_tokens: int
    ) -> tuple[Said, Speaker] | None:
        """Returns the first answer and whose it is; None where no stage answers."""
        for number, stage in enumerate(self._stages):
            breaker = self._breakers[number]
            if not breaker.may_try():
                continue
            try:
                async with asyncio.timeout(stage.seconds):
                    said = await stage.ask(messages, most_tokens)
            except (StageError, TimeoutError) as error:
                breaker.failed()
                logger.warning("Stage %s does not answer: %s", stage.name, error or "too slow")
                continue
            breaker.succeeded()
            return said, Speaker(
                stage=stage.name,
                model_version=said.model_version,
                deployed_model_id=said.deployed_model_id,
                fallback=number > 0,
            )
        return None
