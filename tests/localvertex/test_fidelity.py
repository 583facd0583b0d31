"""Calls of the SDK that the other modules leave out, over both wires; each is read back."""

import json

import pytest
from google.api_core import exceptions

from tests.localvertex.conftest import IMAGE, TRAINING_IMAGE, TRIAL_IMAGE
from tests.waiting import wait_for

MACHINE = "n1-standard-4"


def ended(job, seconds=60):
    over = ("SUCCEEDED", "FAILED", "CANCELLED")
    wait_for(lambda: job.state.name.endswith(over), seconds)
    return job.state.name.rpartition("_")[2]


def pool(image, *arguments):
    return {
        "machine_spec": {"machine_type": MACHINE},
        "replica_count": 1,
        "container_spec": {"image_uri": image, "args": list(arguments)},
    }


@pytest.fixture(scope="module")
def model(aip):
    return aip.Model.upload(
        display_name="fidelity",
        serving_container_image_uri=IMAGE,
        serving_container_predict_route="/predict",
        serving_container_health_route="/health",
        labels={"a": "b"},
    )


@pytest.fixture
def experiment(aip, unique):
    made = aip.Experiment.create(f"exp-{unique}", description="a trial")
    yield made
    made.delete(delete_backing_tensorboard_runs=True)


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    from kfp import compiler, dsl

    @dsl.component(base_image="python:3.11", install_kfp_package=False)
    def measure(value: float, metrics: dsl.Output[dsl.Metrics]):
        metrics.log_metric("score", value)

    @dsl.pipeline(name="measuring")
    def measuring(value: float = 0.5):
        measure(value=value)

    path = tmp_path_factory.mktemp("fidelity") / "measuring.yaml"
    compiler.Compiler().compile(measuring, str(path))
    return path


def test_a_model_says_what_it_is(aip, model):
    assert model.to_dict()["displayName"] == "fidelity"
    assert model.versioned_resource_name == f"{model.resource_name}@1"
    assert model.supported_input_storage_formats == ["jsonl"]
    assert model.training_job is None
    registry = aip.models.ModelRegistry(model)
    assert registry.get_model("default").version_id == "1"
    info = registry.get_version_info("1")
    assert (info.version_id, info.model_display_name) == ("1", "fidelity")
    by_number = aip.Model(model_name=model.name, version="1")
    assert by_number.resource_name == model.resource_name
    by_label = aip.Model.list(filter='labels.a="b" AND NOT display_name="other"')
    assert model.resource_name in {item.resource_name for item in by_label}


def test_evaluation_slices_are_imported_and_read(aip, model):
    service = model.api_client
    evaluation = service.import_model_evaluation(
        parent=f"{model.resource_name}@1",
        model_evaluation=aip.gapic.ModelEvaluation(metrics={"f1": 0.5}),
    )
    part = aip.gapic.ModelEvaluationSlice(metrics={"f1": 0.25})
    imported = service.batch_import_model_evaluation_slices(
        parent=evaluation.name, model_evaluation_slices=[part]
    )
    (name,) = imported.imported_model_evaluation_slices
    assert dict(service.get_model_evaluation_slice(name=name).metrics) == {"f1": 0.25}
    listed = service.list_model_evaluation_slices(parent=evaluation.name)
    assert [item.name for item in listed] == [name]


def test_endpoints_are_asked_in_every_way(aip, model, unique):
    import asyncio

    endpoint = model.deploy(machine_type=MACHINE, deployed_model_display_name=unique)
    assert endpoint.to_dict()["displayName"] == endpoint.display_name
    (deployed,) = endpoint.list_models()
    assert deployed.display_name == unique
    assert endpoint.traffic_split == {deployed.id: 100}
    raw = endpoint.predict(instances=["a"], use_raw_predict=True)
    assert raw.predictions[0]["echo"] == "a"
    answer = asyncio.run(endpoint.predict_async(instances=["b"])) if grpc(aip) else raw
    assert answer.predictions[0]["echo"] in ("a", "b")
    newest = aip.Endpoint.list(order_by="create_time desc")[0]
    assert newest.resource_name == endpoint.resource_name
    assert aip.Model(model.resource_name).gca_resource.deployed_models
    with pytest.raises(exceptions.MethodNotImplemented if grpc(aip) else exceptions.ServerError):
        endpoint.explain(instances=["a"])
    endpoint.undeploy(deployed_model_id=deployed.id)
    endpoint.delete()


def grpc(aip):
    return aip.initializer.global_config._api_transport == "grpc"


def test_custom_jobs_live_over_this_wire(aip, unique):
    job = aip.CustomJob(
        display_name=unique,
        worker_pool_specs=[pool(TRAINING_IMAGE)],
        base_output_dir="gs://demo-bucket/fidelity",
        labels={"made": unique},
    )
    job.submit(timeout=60)
    assert ended(job) == "SUCCEEDED"
    job.wait_for_resource_creation()
    assert job.to_dict()["displayName"] == unique
    assert [j.name for j in aip.CustomJob.list(filter=f"labels.made={unique}")] == [job.name]
    job.delete()
    with pytest.raises(exceptions.NotFound):
        aip.CustomJob.get(job.resource_name)


def test_tuning_jobs_live_over_this_wire(aip, unique):
    trial = aip.CustomJob(
        display_name="trial",
        worker_pool_specs=[pool(TRIAL_IMAGE)],
        base_output_dir="gs://demo-bucket/fidelity",
    )
    job = aip.HyperparameterTuningJob(
        display_name=unique,
        custom_job=trial,
        metric_spec={"loss": "minimize"},
        parameter_spec={
            "x": aip.hyperparameter_tuning.DoubleParameterSpec(min=0, max=5, scale="linear")
        },
        max_trial_count=1,
        parallel_trial_count=1,
    )
    job.run(sync=False)
    job.wait_for_resource_creation()
    assert ended(job) == "SUCCEEDED"
    assert len(job.trials) == 1
    listed = aip.HyperparameterTuningJob.list(filter=f'display_name="{unique}"')
    assert [item.name for item in listed] == [job.name]
    assert aip.HyperparameterTuningJob.get(job.resource_name).display_name == unique
    job.wait()
    job.delete()


def test_batch_predictions_live_over_this_wire(aip, model, unique):
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    client = storage.Client(project="demo-project", credentials=AnonymousCredentials())
    client.bucket("demo-bucket").blob(f"{unique}.jsonl").upload_from_string('{"a": 1}\n')
    job = aip.BatchPredictionJob.create(
        job_display_name=unique,
        model_name=model,
        gcs_source=f"gs://demo-bucket/{unique}.jsonl",
        gcs_destination_prefix=f"gs://demo-bucket/{unique}",
        machine_type=MACHINE,
        sync=False,
    )
    job.wait_for_resource_creation()
    assert ended(job) == "SUCCEEDED"
    (results,) = [blob for blob in job.iter_outputs() if "results" in blob.name]
    assert json.loads(results.download_as_text())["prediction"]["echo"] == {"a": 1}
    (listed,) = aip.BatchPredictionJob.list(filter=f'display_name="{unique}"')
    assert listed.name == job.name
    job.wait()
    job.delete()


def test_a_pipeline_run_shows_up_in_its_experiment(aip, spec, experiment, unique):
    job = aip.PipelineJob(
        display_name=unique,
        template_path=str(spec),
        pipeline_root=f"gs://demo-bucket/{unique}",
        parameter_values={"value": 0.75},
    )
    job.submit(experiment=experiment.name)
    assert ended(job) == "SUCCEEDED"
    copy = job.clone(display_name=f"{unique}-copy", job_id=f"copy-{unique}")
    copy.submit()
    assert ended(copy) == "SUCCEEDED"
    assert aip.PipelineJob.get(f"copy-{unique}").display_name == f"{unique}-copy"
    frame = experiment.get_data_frame()
    assert list(frame["run_name"]) == [job.name]
    assert list(frame["metric.score"]) == [0.75]
    assert job.get_associated_experiment().name == experiment.name
    copy.delete()


def test_a_schedule_is_made_from_its_class(aip, spec, unique):
    job = aip.PipelineJob(
        display_name=unique, template_path=str(spec), pipeline_root="gs://demo-bucket/x"
    )
    schedule = aip.PipelineJobSchedule(pipeline_job=job, display_name=unique)
    schedule.create(cron="0 5 * * *", max_concurrent_run_count=1, max_run_count=3)
    assert aip.PipelineJobSchedule.get(schedule.resource_name).max_run_count == 3
    assert schedule.list_jobs() == []
    assert schedule.to_dict()["displayName"] == unique
    schedule.delete()


def test_experiment_runs_are_made_and_closed_by_hand(aip, experiment, unique):
    run = aip.ExperimentRun.create(f"run-{unique}", experiment=experiment)
    run.log_params({"rate": 0.5})
    run.log_metrics({"loss": 1.5})
    run.log_classification_metrics(
        labels=["cat", "dog"], matrix=[[9, 1], [1, 9]], display_name="confusion"
    )
    (confusion,) = run.get_classification_metrics()
    assert confusion["matrix"] == [[9, 1], [1, 9]]
    run.update_state(aip.gapic.Execution.State.FAILED)
    assert aip.ExperimentRun.get(f"run-{unique}", experiment=experiment).state.name == "FAILED"
    run.end_run()
    assert run.get_state() == "COMPLETE"
    artifacts = {item.schema_title for item in run.get_artifacts()}
    assert "google.ClassificationMetrics" in artifacts
    assert aip.Experiment.get(experiment.name).resource_name == experiment.resource_name
    assert aip.Experiment.get_or_create(experiment.name).name == experiment.name


def test_executions_are_made_found_and_deleted(aip, unique):
    execution = aip.Execution.create(
        schema_title="system.ContainerExecution",
        display_name=unique,
        metadata={"n": 1},
        credentials=aip.initializer.global_config.credentials,  # the SDK's default is a type
    )
    execution.update(metadata={"n": 2}, state=aip.gapic.Execution.State.COMPLETE)
    again = aip.Execution.get(execution.resource_name)
    assert (again.metadata, again.state.name) == ({"n": 2}, "COMPLETE")
    listed = aip.Execution.list(filter=f'display_name="{unique}"')
    assert [item.name for item in listed] == [execution.name]
    execution.delete()
    assert aip.Execution.get(execution.resource_name) is None
    context = aip.Context.create(schema_title="system.Experiment", display_name=unique)
    context.update(metadata={"seen": True}, description="changed")
    assert aip.Context.get(context.resource_name).metadata == {"seen": True}
    assert (
        aip.Context.get_or_create(resource_id=context.name, schema_title="system.Experiment").name
        == context.name
    )
    context.delete()
    artifact = aip.Artifact.create(
        schema_title="system.Model", uri=f"gs://demo-bucket/{unique}", display_name=unique
    )
    assert aip.Artifact.get_with_uri(f"gs://demo-bucket/{unique}").name == artifact.name
    assert artifact.name in artifact.lineage_console_uri


def test_tensorboards_are_walked_from_top_to_bottom(aip, unique):
    board = aip.Tensorboard.create(display_name=unique)
    experiment = aip.TensorboardExperiment.create(
        tensorboard_experiment_id=f"e-{unique}", tensorboard_name=board.name
    )
    run = aip.TensorboardRun.create(
        tensorboard_run_id="r", tensorboard_experiment_name=experiment.resource_name
    )
    series = run.create_tensorboard_time_series(display_name="loss")
    assert [e.name for e in aip.TensorboardExperiment.list(tensorboard_name=board.name)] == [
        experiment.name
    ]
    assert aip.TensorboardExperiment(experiment.resource_name).name == experiment.name
    runs = aip.TensorboardRun.list(tensorboard_experiment_name=experiment.resource_name)
    assert [item.name for item in runs] == [run.name]
    assert aip.TensorboardRun(run.resource_name).name == run.name
    listed = aip.TensorboardTimeSeries.list(tensorboard_run_name=run.resource_name)
    assert [item.display_name for item in listed] == ["loss"]
    assert aip.TensorboardTimeSeries(series.resource_name).display_name == "loss"
    run.delete()
    experiment.delete()
    board.delete()
