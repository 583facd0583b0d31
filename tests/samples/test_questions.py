"""The sample questions: true to the documents, of every kind, and nobody's training data."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from doctune.dataset import DatasetOptions, prepare_dataset
from doctune.documents import ParseOptions, parse_corpus
from doctune.evaluation.questions import Question, load_questions
from tests.samples.test_corpus import PDFS, READABLE, SAMPLES, SCAN, raw_pages

QUESTIONS = load_questions(SAMPLES / "questions.jsonl")
ANSWERED = [entry for entry in QUESTIONS if entry.expects != "refusal"]
ALIKE = 0.9  # share of words in common from which two questions count as one phrasing
_ARTICLES = {"a", "an", "the"}


def page_text(name: str, page: int) -> str:
    if name == SCAN:
        text = (SAMPLES / "text" / "inspection-note-118.txt").read_text(encoding="utf-8")
    else:
        text = raw_pages(PDFS / name)[page - 1]
    return re.sub(r"\s+", " ", re.sub("\x02\\s*", "", text)).lower()


def words(question: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", question.lower())) - _ARTICLES


def test_there_are_120_of_them_and_20_each_without_answer_and_with_a_wrong_premise() -> None:
    assert len(QUESTIONS) == 120
    assert len({entry.question.lower() for entry in QUESTIONS}) == 120
    assert Counter(entry.expects for entry in QUESTIONS) == {
        "answer": 80,
        "correction": 20,
        "refusal": 20,
    }


def test_every_readable_document_and_many_kinds_are_asked_about() -> None:
    assert {entry.source for entry in ANSWERED} == set(READABLE)
    assert min(Counter(entry.source for entry in ANSWERED).values()) >= 3
    assert len({entry.kind for entry in ANSWERED}) >= 10


@pytest.mark.parametrize("entry", ANSWERED, ids=lambda entry: entry.question)
def test_fact_of_each_question_stands_on_its_page(entry: Question) -> None:
    assert entry.fact.lower() in page_text(entry.source, entry.page)


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> list[frozenset[str]]:
    """The words of every question that the generator makes of the samples, with no cap."""
    folder = tmp_path_factory.mktemp("generated")
    parse_corpus(PDFS, folder / "documents", ParseOptions(max_failure_share=0.5))
    sides = {side: folder / f"{side}.jsonl" for side in ("train", "validation", "test")}
    prepare_dataset(
        folder / "documents",
        train_path=sides["train"],
        validation_path=sides["validation"],
        test_path=sides["test"],
        manifest_path=folder / "manifest.json",
        card_path=folder / "card.md",
        options=DatasetOptions(),
    )
    return [words(question) for path in sides.values() for question in _asked(path)]


def _asked(path: Path) -> list[str]:
    with path.open(encoding="utf-8", newline="\n") as file:
        return [json.loads(line)["messages"][0]["content"] for line in file]


def test_no_question_is_a_phrasing_that_the_generator_makes(
    generated: list[frozenset[str]],
) -> None:
    assert len(generated) > 1000
    for entry in QUESTIONS:
        own = words(entry.question)
        nearest = max(generated, key=lambda other: len(own & other) / len(own | other))
        shared = len(own & nearest) / len(own | nearest)
        assert shared < ALIKE, (entry.question, sorted(nearest))
