"""The step that answers a file of questions, run as a pipeline runs it."""

import json
from pathlib import Path

from kfp import dsl

from components.answer_batch import answer_batch
from doctune.knowledge import build_index
from tests.components.one_step import Artifact, run_component
from tests.dataset.corpora import write_corpus
from tests.knowledge.conftest import warranty
from tests.serving.tiny_model import write_tiny_model


def test_questions_become_answers_with_sources_and_failures_stand_apart(tmp_path: Path) -> None:
    write_corpus(tmp_path / "documents", warranty())
    build_index(tmp_path / "documents", tmp_path / "index")
    questions = tmp_path / "questions.jsonl"
    questions.write_text('{"id": "a", "question": "How long is the motor covered?"}\n{"id": "b"}\n')
    made = run_component(
        answer_batch,
        tmp_path / "run",
        artifacts={
            "questions": Artifact(questions, dsl.Dataset),
            "index": Artifact(tmp_path / "index"),
            "model": Artifact(write_tiny_model(tmp_path / "model"), dsl.Model),
        },
        way="quote",
        max_new_tokens=8,
    )
    (row,) = map(json.loads, Path(made["answers"]["uri"]).read_text().splitlines())
    assert row["id"] == "a"
    assert "36 months" in row["answer"]
    assert row["sources"][0]["page"] == 1
    (failed,) = map(json.loads, Path(made["failures"]["uri"]).read_text().splitlines())
    assert (failed["id"], failed["error"]) == ("b", "no text in question or prompt")
    assert made["Output"] == 1
    assert made["answers"]["metadata"]["answered"] == 1
