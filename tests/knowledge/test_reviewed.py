"""Reviewed answers: given for the question that was reviewed, to whom their passage is shown."""

import json
from pathlib import Path

import pytest

from doctune.errors import DatasetError
from doctune.knowledge import Answerer, KnowledgeOptions, add_reviewed_answers, build_index
from doctune.knowledge.filters import Filter
from doctune.knowledge.store import read_record

ASKED = "How often do I clean the mesh of the Arlo 3?"
SAID = "Every 14 days, with cold water."
UNSUPPORTED = {
    "questions": ["Who repairs the Arlo 3 in Lyme?"],
    "answer": "Ana Blum.",
    "passage": "",
}


def passage_with(answerer: Answerer, text: str) -> str:
    index = answerer.index
    return next(name for name, held in zip(index.ids, index.texts, strict=True) if text in held)


def taught(index: Path, folder: Path, *answers: dict) -> Answerer:
    path = folder / "answers.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in answers))
    add_reviewed_answers(index, path, folder / "taught")
    return Answerer.open(folder / "taught")


@pytest.fixture(scope="module")
def entry(answerer: Answerer) -> dict:
    passage = passage_with(answerer, "rinsed every 14 days")
    return {"questions": [ASKED], "answer": SAID, "passage": passage, "feedback": ["fb_1"]}


@pytest.fixture(scope="module")
def reviewed(index_folder: Path, entry: dict, tmp_path_factory: pytest.TempPathFactory) -> Answerer:
    return taught(index_folder, tmp_path_factory.mktemp("reviewed"), entry, UNSUPPORTED)


@pytest.mark.parametrize(
    "question",
    [
        ASKED,
        "how often do i clean the mesh of the arlo 3",
        "Please tell me how often I clean the Arlo 3's mesh.",
        "Hello, I need to know: how often do I clean the mesh of the Arlo 3? Thanks",
    ],
)
def test_a_reviewed_answer_is_given_with_its_page_and_feedback(
    reviewed: Answerer, answerer: Answerer, question: str
) -> None:
    found = reviewed.answer(question)
    assert found.answer == SAID != answerer.answer(question).answer
    (source,) = found.sources
    assert (source.file, source.page, source.feedback) == ("arlo-3-manual.pdf", 1, ("fb_1",))
    assert "14 days" in source.quote
    assert reviewed.source(source.id) is not None


@pytest.mark.parametrize(
    "question",
    [
        "How often do I clean the mesh of the Arlo 5?",
        "Why do I clean the mesh of the Arlo 3?",
        "Do I clean the mesh of the Arlo 3?",
        "How often do I not clean the mesh of the Arlo 3?",
        "How often do I clean the lid of the Arlo 3?",
        "How long is the motor covered?",
    ],
)
def test_another_question_is_answered_as_before(
    reviewed: Answerer, answerer: Answerer, question: str
) -> None:
    assert reviewed.answer(question) == answerer.answer(question)


def test_what_no_passage_says_has_the_review_as_its_source(reviewed: Answerer) -> None:
    found = reviewed.answer("Who repairs the Arlo 3 in Lyme?")
    assert found.answer == "Ana Blum."
    assert [(one.file, one.page, one.id) for one in found.sources] == [("reviewed answer", 0, "")]
    assert reviewed.answer("Who repairs the Arlo 3 in Lyme?", frozenset({"shop"})).refused


def test_a_reviewed_answer_is_hidden_from_whom_its_passage_is_hidden(
    documents: Path, entry: dict, tmp_path: Path
) -> None:
    options = KnowledgeOptions(groups={"arlo*": "workshop"})
    build_index(documents, tmp_path / "index", options)
    answerer = taught(tmp_path / "index", tmp_path, entry, UNSUPPORTED)
    assert answerer.answer(ASKED, frozenset({"workshop"})).answer == SAID
    assert answerer.answer(ASKED, frozenset({"everybody"})).answer != SAID
    assert answerer.answer(ASKED, None, Filter(documents=("warranty*",))).answer != SAID
    # Nobody said who may know what no passage says.
    assert answerer.answer("Who repairs the Arlo 3 in Lyme?").answer != "Ana Blum."


def test_what_is_no_longer_reviewed_is_gone_from_the_next_index(
    reviewed: Answerer, index_folder: Path, tmp_path: Path
) -> None:
    assert taught(reviewed.index.folder, tmp_path).answer(ASKED).answer != SAID
    assert not (tmp_path / "taught/reviewed.json").exists()
    assert read_record(tmp_path / "taught").digest != reviewed.index.record.digest


def test_a_line_that_is_no_reviewed_answer_is_refused(index_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="line 1"):
        taught(index_folder, tmp_path, {"question": "?"})
