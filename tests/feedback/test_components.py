"""The two components, compiled and run by kfp.local, take feedback into a training set."""

import json
from pathlib import Path

import pytest
from kfp import dsl
from sqlalchemy import Engine

from components.augment_dataset import augment_dataset
from components.export_feedback import export_feedback
from doctune.database.reviews import claim, decide
from doctune.errors import PipelineError
from doctune.feedback.snapshot import write_snapshot
from doctune.knowledge import Answerer, build_index
from tests.components.one_step import Artifact, run_component
from tests.dataset.corpora import write_corpus
from tests.feedback.corpus import correct, example, write_sets
from tests.knowledge.conftest import manual, warranty

QUESTION, ANSWER = "How often is the filter of the Arlo 3 rinsed?", "Every 14 days, cold."


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("index")
    write_corpus(folder / "documents", manual(), warranty())
    build_index(folder / "documents", folder / "index")
    return folder / "index"


def test_a_snapshot_becomes_a_report_and_examples_with_their_page(
    sqlite: Engine, tmp_path: Path, index: Path
) -> None:
    prediction = correct(sqlite, QUESTION, ANSWER, user="u")
    claim(sqlite, "ana", "eva", prediction)
    decide(sqlite, "ana", "eva", prediction, state="accepted", answer=ANSWER)
    snapshot = tmp_path / "snapshot.jsonl"
    digest = write_snapshot(sqlite, snapshot)
    exported = run_component(export_feedback, tmp_path / "a", snapshot=str(snapshot), digest=digest)
    assert exported["feedback"]["metadata"]["rows"] == 1
    assert "<!doctype html>" in Path(exported["report"]["uri"]).read_text()
    train, test = write_sets(tmp_path, [example("lamp")], [example("filter")])
    augmented = run_component(
        augment_dataset,
        tmp_path / "b",
        artifacts={
            "feedback": Artifact(
                exported["feedback"]["uri"], dsl.Dataset, exported["feedback"]["metadata"]
            ),
            "train_set": Artifact(train, dsl.Dataset, {"documents_digest": "d", "digest": "e"}),
            "test_set": Artifact(test, dsl.Dataset),
            "index": Artifact(index),
        },
        options={"regression_share": 0.0},
    )
    rows = Path(augmented["augmented_set"]["uri"]).read_text().splitlines()
    taught = [row for row in map(json.loads, rows) if row["kind"] == "feedback"]
    assert [row["source"]["file"] for row in taught] == ["arlo-3-manual.pdf"]
    assert augmented["augmented_set"]["metadata"]["documents_digest"] == "d"
    # Who asks the documents is told it too, by their page.
    told = Answerer.open(Path(augmented["taught_index"]["uri"])).answer(QUESTION)
    assert (told.answer, told.sources[0].file) == (ANSWER, "arlo-3-manual.pdf")
    assert told.sources[0].feedback == tuple(taught[0]["feedback"])
    assert augmented["taught_index"]["metadata"]["reviewed_answers"] == 1


def test_a_snapshot_that_was_changed_is_refused(sqlite: Engine, tmp_path: Path) -> None:
    correct(sqlite, QUESTION, ANSWER, user="u")
    snapshot = tmp_path / "snapshot.jsonl"
    write_snapshot(sqlite, snapshot)
    with pytest.raises(PipelineError, match="has changed"):
        run_component(export_feedback, tmp_path / "a", snapshot=str(snapshot), digest="0" * 64)
