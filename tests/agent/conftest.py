"""A corpus that was read from real PDFs, and models that do as a test tells them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from doctune.agent import Agent, AgentOptions, Message, StageAnswer, StageError
from tests.agent.corpus import Corpus, make_corpus


@dataclass
class FakeStage:
    """A stage that says what it is told to; `mode`: ok, error, slow."""

    name: str = "model"
    seconds: float = 0.3
    says: list[str] = field(default_factory=lambda: ["The documents do not say."])
    mode: str = "ok"
    asked: list[list[Message]] = field(default_factory=list)

    async def ask(self, messages: Sequence[Message], most_tokens: int) -> StageAnswer:
        self.asked.append(list(messages))
        if self.mode == "error":
            raise StageError("broken")
        if self.mode == "slow":
            await asyncio.sleep(30)
        text = self.says.pop(0) if len(self.says) > 1 else self.says[0]
        return StageAnswer(text=text, model_version=f"{self.name}@1")


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("agent-corpus"))


@pytest.fixture(scope="session")
def agent(corpus: Corpus) -> Agent:
    """It answers in the documents' own words."""
    return Agent.open(corpus.index)


@pytest.fixture
def asking(agent: Agent):
    """Makes an agent that asks models."""

    def make(*stages: FakeStage, **options: object) -> Agent:
        chosen = AgentOptions(**{"answering": "model", **options})  # type: ignore[arg-type]
        return Agent(agent.answerer, stages, chosen)

    return make


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path
