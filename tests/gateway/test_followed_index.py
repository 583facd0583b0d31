"""An agent whose index is named by a file takes the one that the file names later."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from doctune.agent import Agent
from doctune.errors import ConfigurationError
from doctune.gateway import followed_index
from doctune.gateway.agents import AgentModel
from doctune.gateway.followed_index import IndexPlace, follow, read_place
from doctune.gateway.options import AgentModelOptions
from doctune.knowledge import add_reviewed_answers
from tests.agent.corpus import Corpus

QUESTION, ANSWER = "Who repairs the Arlo 3?", "Ana Blum does."


@pytest.fixture
def pointer(tmp_path: Path, corpus: Corpus) -> Path:
    path = tmp_path / "latest_index.json"
    path.write_text(json.dumps({"index": str(corpus.index), "version": "m@1"}))
    return path


@pytest.fixture
def model(pointer: Path, corpus: Corpus) -> AgentModel:
    unused: Any = None
    options = AgentModelOptions(index=str(pointer))
    return AgentModel("handbook-agent", options, Agent.open(corpus.index), [], unused)


def test_a_folder_is_its_own_place_and_a_file_names_one(pointer: Path, corpus: Corpus) -> None:
    assert read_place(str(corpus.index)) == IndexPlace(corpus.index)
    assert read_place(str(pointer)) == IndexPlace(corpus.index, "m@1")


@pytest.mark.parametrize("text", ["", "[]", '{"other": 1}'])
def test_a_file_that_names_no_index_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "latest.json").write_text(text)
    with pytest.raises(ConfigurationError, match="names no index"):
        read_place(str(tmp_path / "latest.json"))


def test_an_agent_takes_the_index_that_its_file_names_and_keeps_it_where_the_next_is_broken(
    model: AgentModel, pointer: Path, corpus: Corpus, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(followed_index, "LOOK_SECONDS", 0.01)
    answers = tmp_path / "answers.jsonl"
    passage = model.agent.answerer.index.ids[0]
    row = {"questions": [QUESTION], "answer": ANSWER, "passage": passage}
    answers.write_text(json.dumps(row) + "\n")
    add_reviewed_answers(corpus.index, answers, tmp_path / "taught")
    shutil.copytree(tmp_path / "taught", tmp_path / "broken")
    (tmp_path / "broken/manifest.json").unlink()
    before = model.versions()

    async def named(folder: Path, version: str) -> None:
        pointer.write_text(json.dumps({"index": str(folder), "version": version}))
        following = asyncio.create_task(follow([model]))
        for _ in range(200):
            await asyncio.sleep(0.05)
            if model.place_of_index.version == version:
                break
        following.cancel()

    asyncio.run(named(tmp_path / "taught", "m@2"))
    assert model.place_of_index == IndexPlace(tmp_path / "taught", "m@2")
    assert ANSWER.rstrip(".") in model.agent.ask(QUESTION).text
    assert model.versions() != before
    asyncio.run(asyncio.wait_for(_look_once(model, pointer, tmp_path / "broken"), 20))
    assert model.place_of_index.version == "m@2"


async def _look_once(model: AgentModel, pointer: Path, folder: Path) -> None:
    pointer.write_text(json.dumps({"index": str(folder), "version": "m@3"}))
    following = asyncio.create_task(follow([model]))
    await asyncio.sleep(0.5)
    assert not following.done()
    following.cancel()
