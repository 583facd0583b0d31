"""Google Cloud Pipeline Components, unmodified, in pipeline jobs of their own."""

import pytest

from tests.localvertex.conftest import IMAGE, TRAINING_IMAGE, TRIAL_IMAGE
from tests.localvertex.wire import wait_for

ENVIRONMENT_IMAGE = IMAGE.replace("serving", "environment")
MACHINE = "n1-standard-4"
POOL = {"machine_spec": {"machine_type": MACHINE}, "replica_count": 1}


@pytest.fixture(scope="module")
def specs(tmp_path_factory):
    """Three pipelines that together hold all the launchers; they run side by side."""
    from google.cloud.aiplatform import hyperparameter_tuning
    from google_cloud_pipeline_components.types import artifact_types
    from google_cloud_pipeline_components.v1 import hyperparameter_tuning_job as tuning
    from google_cloud_pipeline_components.v1.batch_predict_job import ModelBatchPredictOp
    from google_cloud_pipeline_components.v1.custom_job import (
        CustomTrainingJobOp,
        create_custom_training_job_from_component,
    )
    from google_cloud_pipeline_components.v1.endpoint import EndpointCreateOp, ModelDeployOp
    from google_cloud_pipeline_components.v1.model import ModelUploadOp
    from kfp import compiler, dsl

    container = {
        "containerSpec": {
            "imageUri": IMAGE,
            "predictRoute": "/predict",
            "healthRoute": "/health",
        }
    }

    @dsl.component(base_image=ENVIRONMENT_IMAGE, install_kfp_package=False)
    def train(steps: int, model: dsl.Output[dsl.Model]) -> float:
        from pathlib import Path

        Path(model.path).write_text("w" * steps)
        return steps / 2

    @dsl.component(base_image=ENVIRONMENT_IMAGE, install_kfp_package=False)
    def weigh(model: dsl.Input[dsl.Model]) -> int:
        from pathlib import Path

        return len(Path(model.path).read_text())

    @dsl.pipeline(name="serve")
    def serve(name: str, source: str):
        model = dsl.importer(
            artifact_uri="gs://demo-bucket/gcpc-model",
            artifact_class=artifact_types.UnmanagedContainerModel,
            metadata=container,
        )
        uploaded = ModelUploadOp(display_name=name, unmanaged_container_model=model.output)
        endpoint = EndpointCreateOp(display_name=name)
        ModelDeployOp(
            model=uploaded.outputs["model"],
            endpoint=endpoint.outputs["endpoint"],
            dedicated_resources_machine_type=MACHINE,
            dedicated_resources_min_replica_count=1,
            dedicated_resources_max_replica_count=1,
            traffic_split={"0": 100},
        )
        ModelBatchPredictOp(
            job_display_name=name,
            model=uploaded.outputs["model"],
            gcs_source_uris=[source],
            gcs_destination_output_uri_prefix="gs://demo-bucket/gcpc",
            instances_format="jsonl",
            predictions_format="jsonl",
            machine_type=MACHINE,
        )

    @dsl.pipeline(name="trains")
    def trains(report: str):
        job = CustomTrainingJobOp(
            display_name="train",
            worker_pool_specs=[
                {
                    **POOL,
                    "container_spec": {"image_uri": TRAINING_IMAGE, "args": ["--report", report]},
                }
            ],
        )
        wrapped = create_custom_training_job_from_component(
            train, display_name="wrapped", machine_type=MACHINE
        )(steps=4).after(job)
        weigh(model=wrapped.outputs["model"])

    @dsl.pipeline(name="tune")
    def tunes():
        tuning.HyperparameterTuningJobRunOp(
            display_name="gcpc-tune",
            base_output_directory="gs://demo-bucket/tune",
            worker_pool_specs=[{**POOL, "container_spec": {"image_uri": TRIAL_IMAGE, "args": []}}],
            study_spec_metrics=tuning.serialize_metrics({"loss": "minimize"}),
            study_spec_parameters=tuning.serialize_parameters(
                {"x": hyperparameter_tuning.DoubleParameterSpec(min=0, max=5, scale="linear")}
            ),
            max_trial_count=3,
            parallel_trial_count=3,
        )

    folder = tmp_path_factory.mktemp("gcpc")
    for pipeline in (serve, trains, tunes):
        compiler.Compiler().compile(pipeline, str(folder / f"{pipeline.name}.yaml"))
    return folder


def test_the_launchers_train_tune_deploy_and_predict(environment, specs, unique, tmp_path):
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import aiplatform, storage

    credentials = AnonymousCredentials()
    aiplatform.init(project="demo-project", location="us-central1", credentials=credentials)
    bucket = storage.Client(project="demo-project", credentials=credentials).bucket("demo-bucket")
    bucket.blob(f"{unique}.jsonl").upload_from_string('"a"\n"b"\n')
    values = {
        "serve": {"name": unique, "source": f"gs://demo-bucket/{unique}.jsonl"},
        "trains": {"report": str(tmp_path)},
        "tune": {},
    }
    jobs = {}
    for name, parameters in values.items():
        jobs[name] = aiplatform.PipelineJob(
            display_name=name,
            template_path=str(specs / f"{name}.yaml"),
            pipeline_root=f"gs://demo-bucket/{unique}",
            parameter_values=parameters,
        )
        jobs[name].submit()
    for job in jobs.values():
        wait_for(lambda job=job: job.state.name.endswith(("SUCCEEDED", "FAILED")), 400)
        assert job.state.name == "PIPELINE_STATE_SUCCEEDED", job.gca_resource.error
    assert (tmp_path / "workerpool0-0.json").exists()
    jobs["trains"]._sync_gca_resource()
    outputs = {d.task_name: dict(d.execution.metadata) for d in jobs["trains"].task_details}
    assert outputs["train"]["output:Output"] == 2.0
    assert outputs["weigh"]["output:Output"] == 4
    (endpoint,) = aiplatform.Endpoint.list(filter=f'display_name="{unique}"')
    assert endpoint.predict(instances=[5]).predictions[0]["echo"] == 5
    (batch,) = aiplatform.BatchPredictionJob.list(filter=f'display_name="{unique}"')
    assert batch.completion_stats.successful_count == 2
    (tuned,) = aiplatform.HyperparameterTuningJob.list(filter='display_name="gcpc-tune"')
    assert len([trial for trial in tuned.trials if trial.state.name == "SUCCEEDED"]) == 3
    endpoint.delete(force=True)
