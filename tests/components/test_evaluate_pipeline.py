"""pipelines/evaluate.py: a registered version, evaluated by itself on a test set of one's own."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kfp import compiler, dsl

from components.register_model import register_model
from doctune.errors import PipelineError
from doctune.evaluation import read_card
from doctune.runner.run import RunResult, run_pipeline
from pipelines.evaluate import evaluate
from tests.components.conftest import CLOUD, Outputs, as_input
from tests.components.one_step import Artifact, Silent, run_component

MODEL_NAME = "evaluated-handbook"

Run = Callable[..., RunResult]


@pytest.fixture(scope="module")
def version_name(
    tmp_path_factory: pytest.TempPathFactory,
    tuned: Outputs,
    evaluated: Outputs,
    local_vertex: dict[str, str],
) -> str:
    outputs = run_component(
        register_model,
        tmp_path_factory.mktemp("register"),
        artifacts={
            "model": as_input(tuned["model"], dsl.Model),
            "scores": as_input(evaluated["scores"], dsl.Metrics),
            "index": Artifact(tuned["model"]["uri"], metadata={"digest": "0" * 64}),
        },
        environment=local_vertex,
        model_name=MODEL_NAME,
        serving_image="example.com/doctune/serving:0123abc",
        run="run-1",
        commit="0123abc",
        **CLOUD,
    )
    return outputs["model_version"]["metadata"]["resourceName"]


@pytest.fixture(scope="module")
def run_evaluate(
    tmp_path_factory: pytest.TempPathFactory, version_name: str, local_vertex: dict[str, str]
) -> Run:
    folder = tmp_path_factory.mktemp("evaluate-pipeline")
    compiler.Compiler().compile(evaluate, str(folder / "evaluate.yaml"))

    def run(test_set: Path, version: str) -> RunResult:
        return run_pipeline(
            folder / "evaluate.yaml",
            {
                "test_set": str(test_set),
                "model_name": MODEL_NAME,
                "version": version,
                "max_new_tokens": 4,
                "evaluation_advanced": {"min_examples": 2, "min_slice_examples": 2},
                **CLOUD,
            },
            root=folder,
            environment={**os.environ, **local_vertex},
            watcher=Silent(),
            enable_caching=False,
        )

    return run


def ask_registry(local_vertex: dict[str, str], version_name: str) -> list[dict[str, Any]]:
    """Returns the version's evaluations with their slices, read by a program of its own."""
    import subprocess
    import sys

    script = """
import json, sys
from doctune.vertex import init_session
from doctune.vertex.session import model_client
project, location, bucket, name = sys.argv[1:]
init_session(project, location, bucket)
client, found = model_client(), []
for one in client.list_model_evaluations(parent=name):
    slices = client.list_model_evaluation_slices(parent=one.name)
    found.append({
        "metrics": dict(one.metrics), "metadata": dict(one.metadata),
        "slices": {part.slice_.value: dict(part.metrics) for part in slices},
    })
print(json.dumps(found))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, *CLOUD.values(), version_name],
        env={**os.environ, **local_vertex},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def test_set(tmp_path_factory: pytest.TempPathFactory, prepared: Outputs) -> Path:
    """Questions of one's own: those of the validation side, which no training step learnt."""
    lines = Path(prepared["validation_set"]["uri"]).read_text().splitlines()
    path = tmp_path_factory.mktemp("own") / "questions.jsonl"
    path.write_text("\n".join(lines[:6]) + "\n")
    return path


def test_a_registered_version_is_evaluated_on_another_test_set(
    run_evaluate: Run, test_set: Path, version_name: str, local_vertex: dict[str, str]
) -> None:
    result = run_evaluate(test_set, "1")

    outputs = result.outputs("evaluate-model")
    card = read_card(Path(outputs["scores"]["uri"]))
    assert card.examples == 6
    assert "## " in Path(outputs["summary"]["uri"]).read_text()
    assert result.outputs("find-version")["Output"] == version_name
    stored = ask_registry(local_vertex, version_name)
    digests = [one["metadata"]["test_digest"] for one in stored]
    assert len(stored) == 2
    assert card.test_digest in digests
    ours = stored[digests.index(card.test_digest)]
    # Beside the scores stands what the product, answering from the documents, got right.
    product = set(ours["metrics"]) - set(card.scores)
    assert {"questions", "questions_right", "product_refused_wrong"} <= product
    assert all(name.startswith(("questions", "product_")) for name in product)
    assert {name: ours["metrics"][name] for name in card.scores} == pytest.approx(card.scores)
    # What the evaluation names is kept where no rule deletes it with the run.
    metadata = ours["metadata"]
    assert re.fullmatch(
        r"gs://.*-evaluation-results/evaluations/\w+/predictions",
        metadata["row_based_metrics_path"],
    )
    assert re.fullmatch(
        rf"gs://.+/datasets/\w+/{test_set.name}", metadata["evaluation_dataset_path"]
    )
    assert set(ours["slices"]) == {part.name for part in card.slices}
    for part in card.slices:
        imported = ours["slices"][part.name]
        assert imported == pytest.approx({**part.scores, "examples": part.examples})


def test_a_test_set_that_holds_a_training_example_is_refused_and_shown(
    run_evaluate: Run, test_set: Path, prepared: Outputs, tmp_path: Path
) -> None:
    learnt = Path(prepared["train_set"]["uri"]).read_text().splitlines()[3]
    leaking = tmp_path / "leaking.jsonl"
    leaking.write_text(test_set.read_text() + learnt + "\n")

    with pytest.raises(PipelineError, match="The test set leaks") as raised:
        run_evaluate(leaking, "1")

    question = json.loads(learnt)["messages"][-2]["content"]
    assert " ".join(question.split())[:60] in str(raised.value)
    assert "line 7" in str(raised.value)


def test_a_version_that_is_not_there_is_one_plain_line(run_evaluate: Run, test_set: Path) -> None:
    with pytest.raises(PipelineError, match=f"{MODEL_NAME} has no version 99"):
        run_evaluate(test_set, "99")
