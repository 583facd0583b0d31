import json
import time

import pytest
from google.api_core import exceptions

from tests.localvertex.conftest import TRIAL_IMAGE
from tests.waiting import wait_for

TRANSPORTS = ("rest",)
OVER = ("JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED")


@pytest.fixture(scope="module")
def space(aip):
    return aip.hyperparameter_tuning


def start(aip, parameters, *arguments, wait=True, **changes):
    trial_job = aip.CustomJob(
        display_name="trial",
        worker_pool_specs=[
            {
                "machine_spec": {"machine_type": "n1-standard-4"},
                "replica_count": 1,
                "container_spec": {"image_uri": TRIAL_IMAGE, "args": list(arguments)},
            }
        ],
        base_output_dir="gs://demo-bucket/tuning",
    )
    values = {"metric_spec": {"loss": "minimize"}, "max_trial_count": 6, "parallel_trial_count": 3}
    job = aip.HyperparameterTuningJob(
        display_name="tune", custom_job=trial_job, parameter_spec=parameters, **(values | changes)
    )
    # run() waits five seconds at a time; the creation is its first half.
    job._gca_resource = job.api_client.create_hyperparameter_tuning_job(
        parent=f"projects/{job.project}/locations/{job.location}",
        hyperparameter_tuning_job=job._gca_resource,
    )
    if wait:
        wait_for(lambda: job.state.name in OVER, 60)
    return job


def loss(trial):
    return next(m.value for m in trial.final_measurement.metrics if m.metric_id == "loss")


def parameters_of(trial):
    return {item.parameter_id: item.value for item in trial.parameters}


def test_trials_search_where_the_goal_is_and_the_best_comes_first(aip, space):
    job = start(
        aip,
        {"x": space.DoubleParameterSpec(min=-10, max=10, scale="linear")},
        max_trial_count=10,
        parallel_trial_count=3,
    )
    assert job.state.name == "JOB_STATE_SUCCEEDED"
    losses = [loss(trial) for trial in job.trials]
    assert len(losses) == 10
    assert losses == sorted(losses)
    assert losses[0] < 4
    assert {trial.id for trial in job.trials} == {str(number) for number in range(1, 11)}
    best = job.trials[0]
    assert best.state.name == "SUCCEEDED"
    assert loss(best) == pytest.approx((parameters_of(best)["x"] - 3) ** 2)
    assert aip.CustomJob.get(best.custom_job).state.name == "JOB_STATE_SUCCEEDED"


def test_every_kind_of_parameter_reaches_the_program(aip, space):
    job = start(
        aip,
        {
            "x": space.DoubleParameterSpec(min=0.001, max=10, scale="log"),
            "units": space.IntegerParameterSpec(min=4, max=64, scale="linear"),
            "batch": space.DiscreteParameterSpec(values=[16, 32, 64], scale="linear"),
            "optimizer": space.CategoricalParameterSpec(values=["sgd", "adam"]),
        },
        max_trial_count=4,
    )
    assert job.state.name == "JOB_STATE_SUCCEEDED", job.error
    for trial in job.trials:
        values = parameters_of(trial)
        assert 0.001 <= values["x"] <= 10
        assert values["units"] in range(4, 65)
        assert values["batch"] in (16, 32, 64)
        assert values["optimizer"] in ("sgd", "adam")


def test_a_conditional_parameter_is_given_only_where_its_parent_asks(aip, space):
    momentum = space.DoubleParameterSpec(min=0.1, max=0.9, scale="linear", parent_values=["sgd"])
    job = start(
        aip,
        {
            "optimizer": space.CategoricalParameterSpec(
                values=["sgd", "adam"], conditional_parameter_spec={"momentum": momentum}
            )
        },
        "--x=1",
        max_trial_count=8,
        search_algorithm="random",
    )
    assert job.state.name == "JOB_STATE_SUCCEEDED", job.error
    for trial in job.trials:
        values = parameters_of(trial)
        assert ("momentum" in values) == (values["optimizer"] == "sgd")
    assert {parameters_of(trial)["optimizer"] for trial in job.trials} == {"sgd", "adam"}


def test_grid_search_tries_every_point_once(aip, space):
    job = start(
        aip,
        {
            "units": space.IntegerParameterSpec(min=1, max=2, scale="linear"),
            "optimizer": space.CategoricalParameterSpec(values=["sgd", "adam"]),
        },
        "--x=3",
        search_algorithm="grid",
        max_trial_count=10,
    )
    tried = sorted((v["units"], v["optimizer"]) for v in map(parameters_of, job.trials))
    assert tried == [(1, "adam"), (1, "sgd"), (2, "adam"), (2, "sgd")]


def test_a_maximised_metric_is_ranked_downwards(aip, space):
    job = start(
        aip,
        {"units": space.IntegerParameterSpec(min=1, max=50, scale="linear")},
        metric_spec={"size": "maximize"},
        max_trial_count=4,
    )
    sizes = [trial.final_measurement.metrics[0].value for trial in job.trials]
    assert sizes == sorted(sizes, reverse=True)


def test_no_more_trials_than_allowed_run_at_once(aip, space):
    job = start(
        aip,
        {"x": space.DoubleParameterSpec(min=0, max=1, scale="linear")},
        "--sleep=0.3",
        max_trial_count=4,
        parallel_trial_count=2,
    )
    spans = [(trial.start_time, trial.end_time) for trial in job.trials]
    at_once = [sum(begin <= moment < end for begin, end in spans) for moment, _ in spans]
    assert max(at_once) <= 2


def test_failed_trials_are_infeasible_and_too_many_fail_the_job(aip, space):
    parameters = {"x": space.DoubleParameterSpec(min=-10, max=10, scale="linear")}
    job = start(aip, parameters, "--fail-above=0", max_failed_trial_count=20, max_trial_count=8)
    assert job.state.name == "JOB_STATE_SUCCEEDED"
    states = {trial.state.name for trial in job.trials}
    assert states == {"SUCCEEDED", "INFEASIBLE"}
    failed = job.trials[-1]
    assert "which diverges" in failed.infeasible_reason
    job = start(aip, parameters, "--fail-above=-11", max_failed_trial_count=1)
    assert job.state.name == "JOB_STATE_FAILED"
    assert "which diverges" in job.error.message


def test_a_trial_without_a_metric_is_infeasible(aip, space):
    job = start(
        aip,
        {"x": space.DoubleParameterSpec(min=0, max=1, scale="linear")},
        "--silent",
        max_trial_count=1,
        max_failed_trial_count=3,
    )
    (trial,) = job.trials
    assert trial.state.name == "INFEASIBLE"
    assert "reported none of the metrics loss" in trial.infeasible_reason


def test_cancel_ends_the_running_trials(aip, space):
    job = start(
        aip,
        {"x": space.DoubleParameterSpec(min=0, max=1, scale="linear")},
        "--sleep=60",
        wait=False,
    )
    wait_for(lambda: job.state and job.trials and job.trials[0].custom_job)
    started = time.monotonic()
    job.cancel()
    wait_for(lambda: job.state.name == "JOB_STATE_CANCELLED")
    assert time.monotonic() - started < 15
    for trial in job.trials:
        assert aip.CustomJob.get(trial.custom_job).state.name == "JOB_STATE_CANCELLED"


def test_an_impossible_space_is_refused(aip, space):
    with pytest.raises(exceptions.BadRequest, match="min_value 5"):
        start(aip, {"x": space.DoubleParameterSpec(min=5, max=1, scale="linear")})
    with pytest.raises(exceptions.BadRequest, match="log scale"):
        start(aip, {"x": space.DoubleParameterSpec(min=0, max=1, scale="log")})


def test_bad_trials_are_stopped_early(local, environment):
    """Only the wire has the stopping rules: the SDK of this version cannot set them."""
    from tests.localvertex.conftest import PARENT
    from tests.localvertex.wire import call

    job = {
        "displayName": "early",
        "maxTrialCount": 8,
        "parallelTrialCount": 1,
        "studySpec": {
            "metrics": [{"metricId": "loss", "goal": "MINIMIZE"}],
            "algorithm": "RANDOM_SEARCH",
            "medianAutomatedStoppingSpec": {},
            "parameters": [
                {"parameterId": "x", "doubleValueSpec": {"minValue": -10, "maxValue": 10}}
            ],
        },
        "trialJobSpec": {
            "workerPoolSpecs": [
                {
                    "machineSpec": {"machineType": "n1-standard-4"},
                    "replicaCount": 1,
                    "containerSpec": {
                        "imageUri": TRIAL_IMAGE,
                        "args": ["--steps=12", "--sleep=0.1"],
                    },
                }
            ]
        },
    }
    created = call(local, f"{PARENT}/hyperparameterTuningJobs", json.dumps(job))
    ended = wait_for(lambda: (found := call(local, created["name"]))["state"] in OVER and found, 60)
    assert ended["state"] == "JOB_STATE_SUCCEEDED"
    # A trial may be stopped before its first measurement.
    measured = [trial for trial in ended["trials"] if trial.get("measurements")]
    steps = [int(trial["measurements"][-1]["stepCount"]) for trial in measured]
    assert max(steps) == 12
    assert min(steps) < 12
