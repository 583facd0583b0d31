"""The pipelines' parts hand on what they should, and release nothing that did not pass."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl

from doctune.runner.dag import DagRunner, Task
from doctune.runner.events import EventLog
from doctune.runner.scope import Ended, Outcome
from pipelines.retrain import retrain
from pipelines.train_and_deploy import train_and_deploy

CHAMPION = "gs://bucket/champion"
# What each of the two trains on before passages are added.
EXAMPLES = {
    train_and_deploy: "prepare-dataset/train_set",
    retrain: "augment-dataset/augmented_set",
}
INDEX = {train_and_deploy: "build-index/index", retrain: "augment-dataset/taught_index"}
both = pytest.mark.parametrize("pipeline", EXAMPLES, ids=lambda pipeline: pipeline.name)


def _run(
    pipeline: Any,
    folder: Path,
    *,
    passed: bool = True,
    no_regressions: bool = True,
    experiment: str = "",
) -> dict[str, list[dict[str, Any]]]:
    """Runs the DAG with every step answered at once; returns what each step was given."""
    spec = pipeline.pipeline_spec
    returned = {
        "plan-shards": ["1-of-2", "2-of-2"],
        "find-champion": CHAMPION,
        "evaluate-model": passed,
        "judge-regressions": None,
        "deploy-model": experiment,
        "run-experiment": "win",
    }
    given: dict[str, list[dict[str, Any]]] = {}

    def run_step(task: Task, component: Any, inputs: Mapping[str, Any]) -> tuple[Ended, bool]:
        given.setdefault(task.name, []).append(
            {name: getattr(value, "uri", value) for name, value in inputs.items()}
        )
        outputs: dict[str, Any] = {
            name: dsl.Artifact(name=name, uri=f"{task.name}/{name}")
            for name in component.output_definitions.artifacts
        }
        if "Output" in component.output_definitions.parameters:
            outputs["Output"] = returned[task.name]
        if task.name == "judge-regressions":
            outputs["Output"] = inputs["passed"] and no_regressions
        return Ended(Outcome.SUCCEEDED, outputs), False

    log = EventLog(folder / "events.jsonl")
    runner = DagRunner(dict(spec.components), run_step, log, job="jobs/1", fail_fast=False)
    inputs = pipeline.component_spec.inputs.items()
    required = [name for name, definition in inputs if not definition.optional]
    ended = runner.run(spec.root, {name: f"a {name}" for name in required})
    assert ended.outcome is Outcome.SUCCEEDED, ended.error
    return given


@both
def test_what_passed_is_registered_and_deployed(tmp_path: Path, pipeline: Any) -> None:
    given = _run(pipeline, tmp_path)

    assert sorted(parsed["shard"] for parsed in given["parse-pdfs"]) == ["1-of-2", "2-of-2"]
    assert given["ground-examples"][0]["train_set"] == EXAMPLES[pipeline]
    assert given["ground-examples"][0]["index"] == INDEX[pipeline]
    assert given["evaluate-model"][0]["index"] == INDEX[pipeline]
    assert given["tune-model"][0]["train_set"] == "ground-examples/grounded_set"
    assert given["evaluate-model"][0]["train_set"] == "ground-examples/grounded_set"
    assert given["evaluate-model"][0]["model"] == "tune-model/model"
    assert given["evaluate-model"][0]["test_set"] == "prepare-dataset/test_set"
    assert given["evaluate-model"][0]["champion_uri"] == CHAMPION
    (registered,), (deployed,) = given["register-model"], given["deploy-model"]
    assert registered["model"] == "tune-model/model"
    assert registered["scores"] == "evaluate-model/scores"
    assert registered["index"] == INDEX[pipeline]
    assert deployed["model_version"] == "register-model/model_version"
    assert deployed["judged_against"] == CHAMPION
    assert deployed["smoke_prompt"] == "a question"
    assert deployed["rollout"] == "direct"


@both
def test_an_experiment_that_was_begun_is_run_to_its_end_and_no_other(
    tmp_path: Path, pipeline: Any
) -> None:
    assert "run-experiment" not in _run(pipeline, tmp_path / "direct")
    given = _run(pipeline, tmp_path / "experiment", experiment="release-2-abc")
    assert [one["name"] for one in given["run-experiment"]] == ["release-2-abc"]


@both
@pytest.mark.parametrize("step", ["register-model", "deploy-model"])
def test_what_did_not_pass_is_not_released(tmp_path: Path, pipeline: Any, step: str) -> None:
    given = _run(pipeline, tmp_path, passed=False)

    assert "evaluate-model" in given
    assert step not in given


def test_a_retraining_learns_from_the_snapshot_and_asks_what_was_once_wrong(tmp_path: Path) -> None:
    given = _run(retrain, tmp_path)

    assert given["export-feedback"][0]["snapshot"] == "a snapshot"
    (augmented,) = given["augment-dataset"]
    assert augmented["feedback"] == "export-feedback/feedback"
    assert augmented["train_set"] == "prepare-dataset/train_set"
    assert augmented["test_set"] == "prepare-dataset/test_set"
    (asked,) = given["judge-regressions"]
    assert asked["regression_set"] == "augment-dataset/regression_set"
    assert asked["champion_uri"] == CHAMPION
    assert asked["scores"] == "evaluate-model/scores"
    assert asked["index"] == INDEX[retrain]
    assert asked["passed"] is True


def test_a_retraining_that_answers_fewer_old_cases_releases_nothing(tmp_path: Path) -> None:
    given = _run(retrain, tmp_path, no_regressions=False)

    assert "judge-regressions" in given
    assert "register-model" not in given
