"""`doctune ask` of a product that does not only quote: the model's words, or the quotation."""

import json
from pathlib import Path

import pytest

from doctune.batch.own_words import answer_with_model
from doctune.batch.run import answer_batch
from doctune.batch.ways import FromDocuments
from doctune.errors import UsageError
from doctune.evaluation.grounding import IndexKnowledge
from doctune.evaluation.product import Answering
from doctune.knowledge import Answer, Answerer, build_index
from doctune.knowledge.prompt import REFUSAL
from tests.dataset.corpora import write_corpus
from tests.knowledge.conftest import manual, warranty

QUESTIONS = ("how often do i rinse the filter?", "who painted the factory?")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("knowledge")
    write_corpus(folder / "documents", manual(), warranty())
    build_index(folder / "documents", folder / "index")
    return folder / "index"


def answers(index: Path, way: Answering, *said: str) -> list[Answer]:
    asked: list[str] = []

    def model(prompts: list[str]) -> list[str]:
        asked.extend(prompts)
        return list(said)

    answerer = Answerer.open(index)
    quoted = [answerer.answer(question) for question in QUESTIONS]
    found = answer_with_model(way, IndexKnowledge(index), quoted, model)
    assert [prompt.endswith(f"Question: {q}") for prompt, q in zip(asked, QUESTIONS, strict=True)]
    assert "[1]" in asked[0]
    return found


@pytest.mark.parametrize("way", ["model", "hybrid"])
def test_words_that_the_passages_bear_out_are_the_answer_with_the_passage_named(
    index: Path, way: Answering
) -> None:
    first, second = answers(index, way, "Every 14 days [1].", REFUSAL)
    assert first.answer == "Every 14 days."
    assert first.sources[0].file == "arlo-3-manual.pdf"
    assert second.answer == REFUSAL
    assert second.refused


def test_what_no_passage_says_is_quoted_instead(index: Path) -> None:
    first, second = answers(index, "hybrid", "Every 99 days [1].", "Ann Lee did [1].")
    assert "14 days" in first.answer
    assert second.refused


def test_a_product_that_takes_the_models_words_takes_them_all(index: Path) -> None:
    first, _ = answers(index, "model", "Every 99 days [1].", REFUSAL)
    assert first.answer == "Every 99 days."


def test_a_batch_begun_with_one_model_is_not_finished_with_another(
    index: Path, tmp_path: Path
) -> None:
    source = tmp_path / "questions.jsonl"
    source.write_text(json.dumps({"question": QUESTIONS[0]}) + "\n")

    def answered_by(model: str, says: str, way: Answering = "model") -> str:
        answers = FromDocuments(index, way, lambda prompts: [says for _ in prompts], model)
        answer_batch(source, tmp_path / f"{way}.jsonl", answers)
        return (tmp_path / f"{way}.jsonl").read_text()

    assert "Every 14 days" in answered_by("first", "Every 14 days [1].")
    with pytest.raises(UsageError, match="of a run with other way"):
        answered_by("second", "Every 99 days [1].")
    # Quotation asks no model.
    assert answered_by("first", "", "quote") == answered_by("second", "", "quote")
