"""A search space as Vertex AI's study, and what its job's trials say."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from doctune.errors import PipelineError, TrainingError, UsageError
from doctune.training.options import TrainingOptions
from doctune.training.search import search_result
from doctune.training.search_options import Range, SearchSpace
from doctune.vertex.tuning import plan_trials, resource_name, study_parameters, trial_records

NAME = "projects/1/locations/us-central1/hyperparameterTuningJobs/2"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (
            {"learning_rate": Range(low=1e-4, high=1e-2, log=True)},
            {
                "double_value_spec": {"min_value": 1e-4, "max_value": 1e-2},
                "scale_type": "UNIT_LOG_SCALE",
            },
        ),
        (
            {"lora_dropout": Range(low=0, high=0.2)},
            {
                "double_value_spec": {"min_value": 0, "max_value": 0.2},
                "scale_type": "UNIT_LINEAR_SCALE",
            },
        ),
        (
            {"lora_r": (8, 4)},
            {"discrete_value_spec": {"values": [4.0, 8.0]}, "scale_type": "UNIT_LINEAR_SCALE"},
        ),
        (
            {"target_modules": ("q_proj,v_proj", "all-linear")},
            {"categorical_value_spec": {"values": ["q_proj,v_proj", "all-linear"]}},
        ),
    ],
)
def test_each_dial_is_the_parameter_that_vertex_knows(
    values: dict[str, Any], expected: dict[str, Any]
) -> None:
    space = SearchSpace(**{"learning_rate": None, "lora_r": None, **values})

    assert study_parameters(space) == [{"parameter_id": next(iter(values)), **expected}]


def test_a_trial_runs_the_training_image_on_the_machine_that_is_asked_for() -> None:
    plan = plan_trials(
        "gs://b/train.jsonl",
        "gs://b/validation.jsonl",
        training={"max_steps": 3},
        search={"algorithm": "random"},
        image="example/training:1",
        machine_type="g2-standard-8",
        accelerator_type="NVIDIA_L4",
    )

    (pool,) = plan.worker_pool_specs
    assert pool["machine_spec"] == {
        "machine_type": "g2-standard-8",
        "accelerator_type": "NVIDIA_L4",
        "accelerator_count": 1,
    }
    assert pool["container_spec"]["image_uri"] == "example/training:1"
    assert pool["container_spec"]["args"][-1] == '{"max_steps":3}'
    assert plan.algorithm == "RANDOM_SEARCH"


def test_a_search_without_a_dial_is_refused() -> None:
    with pytest.raises(UsageError, match=r"search\.space"):
        plan_trials(
            "train",
            "validation",
            training={},
            search={"space": {"learning_rate": None, "lora_r": None}},
            image="example/training:1",
            machine_type="n1-standard-8",
        )


@pytest.mark.parametrize(
    "given",
    [NAME, json.dumps({"resources": [{"resourceUri": f"https://host/v1/{NAME}"}]})],
    ids=["name", "gcp_resources"],
)
def test_a_job_is_named_by_its_resource_or_by_what_the_launcher_wrote(given: str) -> None:
    assert resource_name(given) == NAME


@pytest.mark.parametrize("given", ["", "{}", '{"resources": []}', "tuning"])
def test_what_names_no_job_is_refused(given: str) -> None:
    with pytest.raises(PipelineError, match="does not name a tuning job"):
        resource_name(given)


def _trial(number: int, state: str, learning_rate: float, loss: float | None) -> Any:
    from google.cloud.aiplatform_v1.types import Trial

    start = datetime(2026, 1, 1, tzinfo=UTC)
    metrics = [] if loss is None else [{"metric_id": "validation_loss", "value": loss}]
    return Trial(
        id=str(number),
        state=state,
        parameters=[
            {"parameter_id": "learning_rate", "value": learning_rate},
            {"parameter_id": "lora_r", "value": 8.0},
        ],
        final_measurement={"metrics": metrics},
        start_time=start,
        end_time=start + timedelta(seconds=5),
        infeasible_reason="" if loss is not None else "out of memory",
    )


def test_stopped_and_infeasible_trials_are_kept_beside_the_best() -> None:
    trials = [
        _trial(3, "INFEASIBLE", 1e-2, None),
        _trial(1, "SUCCEEDED", 1e-3, 0.5),
        _trial(2, "STOPPING", 1e-4, 0.9),
    ]

    records = trial_records(trials)
    result = search_result(records, TrainingOptions(lora_r=16, lora_alpha=32), SearchSpace())

    assert [record.state for record in records] == ["complete", "pruned", "failed"]
    assert [record.seconds for record in records] == [5.0] * 3
    assert records[2].reason == "out of memory"
    assert result.best_options.learning_rate == pytest.approx(1e-3)
    assert (result.best_options.lora_r, result.best_options.lora_alpha) == (8, 16)


def test_a_search_whose_trials_all_failed_says_why() -> None:
    records = trial_records([_trial(1, "INFEASIBLE", 1e-2, None)])

    with pytest.raises(TrainingError, match=r"None of the 1 trials.*out of memory"):
        search_result(records, TrainingOptions(), SearchSpace())
