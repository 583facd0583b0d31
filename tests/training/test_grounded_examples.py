"""Grounded examples: from a real index, with distractors that it returns for the question."""

import json
from pathlib import Path
from typing import Any

import pytest

from doctune.dataset import DatasetOptions
from doctune.errors import DatasetError
from doctune.knowledge import REFUSAL, build_index
from doctune.knowledge.prompt import PROMPT_VERSION
from doctune.training.grounded_examples import GroundedSummary, add_grounded_examples
from doctune.training.outputs import prompt_version_of
from tests.dataset.corpora import write_corpus
from tests.knowledge.conftest import manual, warranty

FACTS = (
    (
        "How often is the filter of the Arlo 3 rinsed?",
        "The filter of the Arlo 3 is rinsed every 14 days with cold water.",
        "arlo-3-manual.pdf",
    ),
    ("How long is the motor covered?", "The motor is covered for 36 months.", "warranty.pdf"),
)


def row(question: str, answer: str, file: str, kind: str = "fact") -> dict[str, Any]:
    return {
        "messages": [
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ],
        "source": {"file": file, "pages": [1]},
        "kind": kind,
        "fact": answer,
        "passage": answer,
    }


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("knowledge")
    write_corpus(folder / "documents", manual(), warranty())
    build_index(folder / "documents", folder / "index")
    return folder / "index"


def made(
    folder: Path, index: Path, *rows: dict[str, Any], max_length: int = 2000, **options: Any
) -> tuple[GroundedSummary, list[dict[str, Any]]]:
    train, out = folder / "train.jsonl", folder / "grounded.jsonl"
    train.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    chosen = DatasetOptions(**{"grounded_share": 1.0, "grounded_without_truth": 0.0, **options})
    summary = add_grounded_examples(train, index, out, chosen, max_length=max_length)
    return summary, [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]


def test_an_answer_names_the_true_passage_among_those_that_the_index_returns(
    tmp_path: Path, index: Path
) -> None:
    rows = [row(*fact) for fact in FACTS]
    summary, written = made(tmp_path, index, *rows)

    assert written[:2] == rows  # the closed-book ones stay as they are
    assert (summary.grounded, summary.examples, summary.without_truth) == (2, 4, 0)
    for grounded, (question, answer, _) in zip(written[2:], FACTS, strict=True):
        prompt, said = (message["content"] for message in grounded["messages"])
        assert prompt.endswith(f"Question: {question}")
        number = int(said[said.index("[") + 1 : said.index("]")])
        assert said == f"{answer[:-1]} [{number}]."
        shown = prompt.split(f"[{number}] ", 1)[1].split("\n\n[")[0]
        assert ("14 days" if "14" in answer else "36 months") in shown
        assert prompt.count("\n\n[") >= 2
        assert grounded["prompt_version"] == PROMPT_VERSION
        assert grounded["kind"] == "grounded"
    assert prompt_version_of(tmp_path / "grounded.jsonl") == PROMPT_VERSION
    assert prompt_version_of(tmp_path / "train.jsonl") is None


def test_without_the_true_passage_the_answer_is_that_the_documents_do_not_say(
    tmp_path: Path, index: Path
) -> None:
    rows = [row(*fact) for fact in FACTS]
    summary, written = made(tmp_path, index, *rows, grounded_without_truth=1.0)

    assert summary.without_truth == 2
    for grounded, wrong in zip(written[2:], ("14 days", "36 months"), strict=True):
        assert grounded["messages"][-1]["content"] == REFUSAL
        assert wrong not in grounded["messages"][0]["content"]


def test_the_same_seed_gives_the_same_bytes_and_one_phrasing_of_a_fact_is_asked(
    tmp_path: Path, index: Path
) -> None:
    question, answer, file = FACTS[0]
    rows = [row(question, answer, file), row("When do I rinse it?", answer, file)]
    first, written = made(tmp_path, index, *rows)
    second, _ = made(tmp_path, index, *rows)

    assert first.digest == second.digest
    assert first.grounded == 1
    assert written[2]["messages"][0]["content"].endswith(f"Question: {question}")


def test_what_does_not_fit_is_shown_with_fewer_passages_or_left_out(
    tmp_path: Path, index: Path
) -> None:
    _, wide = made(tmp_path, index, row(*FACTS[0]))
    _, narrow = made(tmp_path, index, row(*FACTS[0]), max_length=220)
    summary, _ = made(tmp_path, index, row(*FACTS[0]), max_length=60)

    def passages(written: list[dict[str, Any]]) -> int:
        return written[1]["messages"][0]["content"].count("\n\n[")

    assert 1 <= passages(narrow) < passages(wide)
    assert (summary.grounded, summary.too_long) == (0, 1)


def test_continuations_and_unknown_facts_are_not_grounded(tmp_path: Path, index: Path) -> None:
    strange = row("Who made the moon?", "Somebody made the moon in 1412.", "other.pdf")
    go_on = row("Continue this.", FACTS[0][1], FACTS[0][2], kind="completion")
    summary, _ = made(tmp_path, index, strange, go_on)
    assert (summary.grounded, summary.not_found, summary.examples) == (0, 1, 2)


def test_the_share_is_of_the_closed_book_examples(tmp_path: Path, index: Path) -> None:
    rows = [row(*fact) for fact in FACTS]
    assert made(tmp_path, index, *rows, grounded_share=0.5)[0].grounded == 1
    assert made(tmp_path, index, *rows, grounded_share=0.0)[0].grounded == 0


def test_a_file_without_examples_is_one_clear_line(tmp_path: Path, index: Path) -> None:
    with pytest.raises(DatasetError, match=r"train.jsonl holds no examples"):
        made(tmp_path, index)
