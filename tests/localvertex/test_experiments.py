"""Experiments and metadata, as the SDK uses them."""

import pytest
from google.api_core import exceptions


@pytest.fixture
def experiment(aip, unique):
    aip.init(experiment=f"exp-{unique}", project="demo-project", location="us-central1")
    yield f"exp-{unique}"
    aip.metadata.metadata._experiment_tracker.reset()


def test_a_run_with_parameters_metrics_and_time_series_reads_back(aip, experiment):
    with aip.start_run("first") as run:
        aip.log_params({"rate": 0.1, "layers": 3, "kind": "lora"})
        aip.log_metrics({"loss": 0.5, "f1": 0.9})
        for step in (1, 2, 3):
            aip.log_time_series_metrics({"train_loss": 1.0 / step}, step=step)
        assert run.get_params() == {"rate": 0.1, "layers": 3, "kind": "lora"}
        assert run.get_metrics() == {"loss": 0.5, "f1": 0.9}
        frame = run.get_time_series_data_frame()
        assert list(frame["step"]) == [1, 2, 3]
        assert list(frame["train_loss"]) == [1.0, 0.5, pytest.approx(1 / 3)]
    assert aip.ExperimentRun("first", experiment=experiment).state.name == "COMPLETE"


def test_runs_are_compared_in_a_data_frame(aip, experiment):
    for name, loss in (("a", 0.3), ("b", 0.2)):
        with aip.start_run(name):
            aip.log_params({"name": name})
            aip.log_metrics({"loss": loss})
    frame = aip.get_experiment_df(experiment)
    assert dict(zip(frame["run_name"], frame["metric.loss"], strict=True)) == {"a": 0.3, "b": 0.2}
    assert set(frame["param.name"]) == {"a", "b"}
    assert {run.name for run in aip.ExperimentRun.list(experiment=experiment)} == {"a", "b"}


def test_a_run_is_resumed_and_deleted(aip, experiment):
    with aip.start_run("kept"):
        aip.log_metrics({"loss": 0.3})
    with aip.start_run("kept", resume=True) as run:
        aip.log_metrics({"f1": 0.8})
        assert run.get_metrics() == {"loss": 0.3, "f1": 0.8}
    run.delete(delete_backing_tensorboard_run=True)
    assert aip.ExperimentRun.list(experiment=experiment) == []


def test_an_execution_knows_its_artifacts(aip, experiment, unique):
    data = aip.Artifact.create(
        schema_title="system.Dataset", uri="gs://demo-bucket/data", display_name=f"data-{unique}"
    )
    with (
        aip.start_run("lineage"),
        aip.start_execution(schema_title="system.ContainerExecution", display_name="train") as job,
    ):
        job.assign_input_artifacts([data])
        model = aip.Artifact.create(
            schema_title="system.Model", uri="gs://demo-bucket/model", metadata={"loss": 0.25}
        )
        job.assign_output_artifacts([model])
    assert [item.name for item in job.get_input_artifacts()] == [data.name]
    assert [item.name for item in job.get_output_artifacts()] == [model.name]
    assert aip.Execution.get(job.resource_name).state.name == "COMPLETE"


def test_experiments_are_listed_and_deleted(aip, experiment):
    names = [item.name for item in aip.Experiment.list()]
    assert experiment in names
    aip.Experiment(experiment).delete(delete_backing_tensorboard_runs=True)
    assert experiment not in [item.name for item in aip.Experiment.list()]


def test_artifacts_are_created_updated_listed_and_deleted(aip, unique):
    artifact = aip.Artifact.create(
        schema_title="system.Dataset",
        resource_id=f"a-{unique}",
        display_name=unique,
        uri="gs://demo-bucket/x",
        metadata={"rows": 3},
    )
    with pytest.raises(exceptions.AlreadyExists if grpc(aip) else exceptions.Conflict):
        aip.Artifact.create(schema_title="system.Dataset", resource_id=f"a-{unique}")
    artifact.update(metadata={"rows": 4, "note": "more"}, description="changed")
    again = aip.Artifact.get(f"a-{unique}")
    assert again.metadata == {"rows": 4, "note": "more"}
    assert (again.uri, again.schema_title) == ("gs://demo-bucket/x", "system.Dataset")
    listed = aip.Artifact.list(filter=f'display_name="{unique}" AND schema_title="system.Dataset"')
    assert [item.name for item in listed] == [f"a-{unique}"]
    artifact.delete()
    assert aip.Artifact.get(f"a-{unique}") is None


def grpc(aip):
    return aip.initializer.global_config._api_transport == "grpc"


def test_contexts_hold_members_and_children(aip, unique):
    parent = aip.Context.create(schema_title="system.Experiment", resource_id=f"p-{unique}")
    child = aip.Context.create(schema_title="system.ExperimentRun", resource_id=f"c-{unique}")
    parent.add_context_children([child])
    artifact = aip.Artifact.create(schema_title="system.Model", display_name=unique)
    child.add_artifacts_and_executions(artifact_resource_names=[artifact.resource_name])
    inside = aip.Artifact.list(filter=f'in_context("{child.resource_name}")')
    assert [item.name for item in inside] == [artifact.name]
    children = aip.Context.list(filter=f'parent_contexts:"{parent.resource_name}"')
    assert [item.name for item in children] == [child.name]
    subgraph = parent.query_lineage_subgraph()
    assert [item.name for item in subgraph.artifacts] == [artifact.resource_name]


def test_a_tensorboard_is_created_updated_listed_and_deleted(aip, unique):
    board = aip.Tensorboard.create(display_name=unique, labels={"a": "b"})
    board.update(display_name=f"{unique}-new", description="changed")
    assert aip.Tensorboard(board.resource_name).display_name == f"{unique}-new"
    assert [b.name for b in aip.Tensorboard.list(filter=f'display_name="{unique}-new"')] == [
        board.name
    ]
    experiment = aip.TensorboardExperiment.create(
        tensorboard_experiment_id="e1", tensorboard_name=board.resource_name
    )
    run = aip.TensorboardRun.create(
        tensorboard_run_id="r1", tensorboard_experiment_name=experiment.resource_name
    )
    run.create_tensorboard_time_series(display_name="loss")
    run.write_tensorboard_scalar_data({"loss": 0.5}, step=1)
    series = run.read_time_series_data()["loss"]
    assert [(point.step, point.scalar.value) for point in series.values] == [(1, 0.5)]
    board.delete()
    with pytest.raises(exceptions.NotFound):
        aip.Tensorboard(board.resource_name)
