"""The step that indexes, run as a pipeline runs it."""

from pathlib import Path

from kfp import dsl

from components.build_index import build_index
from doctune.knowledge import Answerer
from tests.components.one_step import Artifact, run_component
from tests.dataset.corpora import write_corpus
from tests.knowledge.conftest import warranty


def test_the_index_answers_and_names_what_it_was_made_from(tmp_path: Path) -> None:
    documents = Artifact(
        write_corpus(tmp_path / "documents", warranty()), dsl.Dataset, {"digest": "d1"}
    )

    made = run_component(build_index, tmp_path / "run", artifacts={"documents": documents})

    index = made["index"]
    answer = Answerer.open(Path(index["uri"])).answer("How long is the motor covered?")
    assert "36 months" in answer.answer
    assert index["metadata"]["documents_digest"] == "d1"
    assert index["metadata"]["units"] == 3
