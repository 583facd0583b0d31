"""The encoder is tuned on the documents' own questions, and kept only where it ranks better."""

import json
from pathlib import Path

import pytest

from doctune.errors import DatasetError
from doctune.knowledge import Answerer, KnowledgeIndex, KnowledgeOptions, build_index, tuning
from doctune.knowledge.pairs import read_pairs
from doctune.knowledge.tuning import tune_retriever

ASKED = [
    ("How often is the filter rinsed?", "The filter of the Arlo 3 is rinsed every 14 days."),
    ("Why no soap?", "Do not use soap: it clogs the mesh."),
    ("What does E07 mean?", "Tank empty"),
    ("What does E09 mean?", "Lid open"),
    ("How is the lid wiped?", "The lid is wiped with a dry cloth."),
    ("What softens at 60 degrees?", "The glue of the handle softens at 60 degrees Celsius."),
]


def _examples(path: Path) -> Path:
    rows = [
        {
            "messages": [
                {"role": "user", "content": question},
                {"role": "assistant", "content": answer},
            ],
            "source": {"doc_id": "d", "pages": [1], "file": "arlo-3-manual.pdf"},
            "kind": "fact",
        }
        for question, answer in ASKED
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def few_steps(documents: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tuning") / "index"
    build_index(documents, folder, KnowledgeOptions(tuning_steps=2))
    return folder


def test_questions_find_the_units_that_answer_them(few_steps: Path, tmp_path: Path) -> None:
    index = KnowledgeIndex(few_steps)

    pairs = read_pairs(_examples(tmp_path / "train.jsonl"), index)

    found = {pair.question: index.unit(pair.unit).text for pair in pairs}
    assert "14 days" in found["How often is the filter rinsed?"]
    assert "Tank empty" in found["What does E07 mean?"]


def test_a_line_that_is_no_example_is_named(few_steps: Path, tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text('{"question": "?"}\n')

    with pytest.raises(DatasetError, match="line 1 is not a chat example"):
        read_pairs(tmp_path / "train.jsonl", KnowledgeIndex(few_steps))


def test_too_few_questions_leave_the_index_as_it_is(few_steps: Path, tmp_path: Path) -> None:
    summary = tune_retriever(few_steps, _examples(tmp_path / "train.jsonl"), tmp_path / "tuned")

    assert not summary.kept
    assert KnowledgeIndex(tmp_path / "tuned").record.measured["tuned"] == 0.0
    tuned = tmp_path / "tuned" / "units.npy"
    assert tuned.read_bytes() == (few_steps / "units.npy").read_bytes()


@pytest.mark.parametrize(("gain", "kept"), [(-1.0, True), (1.0, False)])
def test_what_ranks_better_is_kept_and_nothing_else(
    few_steps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gain: float, kept: bool
) -> None:
    monkeypatch.setattr(tuning, "_LEAST_PAIRS", 1)
    monkeypatch.setattr(tuning, "_HELD_OUT", 2)
    monkeypatch.setattr(tuning, "_LEAST_GAIN", gain)

    summary = tune_retriever(few_steps, _examples(tmp_path / "train.jsonl"), tmp_path / "tuned")

    assert summary.kept is kept
    assert (tmp_path / "tuned" / "encoder" / "model.safetensors").is_file() is kept
    answer = Answerer.open(tmp_path / "tuned").answer("How often is the filter rinsed?")
    assert "14 days" in answer.answer
