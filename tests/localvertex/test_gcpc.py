"""Google Cloud Pipeline Components, unmodified, in pipeline jobs, and a schedule that fires.

The schedule is due at the next full minute: the other tests run until then.
"""

import json
import os
import subprocess
import sys

import pytest
import yaml

from tests.localvertex.conftest import IMAGE, PROGRAMS, TRAINING_IMAGE
from tests.localvertex.greeting import compile_greeting
from tests.waiting import wait_for

ENVIRONMENT_IMAGE = IMAGE.replace("serving", "environment")
LINE = ["{python}", str(PROGRAMS / "line.py")]
MACHINE = "n1-standard-4"
POOL = {"machine_spec": {"machine_type": MACHINE}, "replica_count": 1}
BUCKET = "launchers-bucket"


@pytest.fixture(scope="module", autouse=True)
def minutely(environment, tmp_path_factory):
    """A schedule of one run."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import aiplatform

    path = compile_greeting(tmp_path_factory.mktemp("schedule"))
    aiplatform.init(
        project="demo-project", location="us-central1", credentials=AnonymousCredentials()
    )
    job = aiplatform.PipelineJob(
        display_name="scheduled",
        template_path=str(path),
        pipeline_root="gs://demo-bucket/minutely",
        parameter_values={"name": "world"},
    )
    return job.create_schedule(cron="* * * * *", display_name="minutely", max_run_count=1)


@pytest.fixture(scope="module")
def launchers(tmp_path_factory):
    """A pipeline of Google's components alone: tunes, trains, uploads, deploys, predicts."""
    from google.cloud.aiplatform import hyperparameter_tuning
    from google_cloud_pipeline_components.types import artifact_types
    from google_cloud_pipeline_components.v1 import hyperparameter_tuning_job as tuning
    from google_cloud_pipeline_components.v1.batch_predict_job import ModelBatchPredictOp
    from google_cloud_pipeline_components.v1.custom_job import CustomTrainingJobOp
    from google_cloud_pipeline_components.v1.endpoint import EndpointCreateOp, ModelDeployOp
    from google_cloud_pipeline_components.v1.model import ModelUploadOp
    from kfp import compiler, dsl

    pools = [{**POOL, "container_spec": {"image_uri": "example.com/fit:1", "args": []}}]
    served = {
        "containerSpec": {
            "imageUri": "example.com/serve:1",
            "predictRoute": "/predict",
            "healthRoute": "/health",
        }
    }

    @dsl.pipeline(name="launchers")
    def launchers():
        tuned = tuning.HyperparameterTuningJobRunOp(
            display_name="tune",
            base_output_directory=f"gs://{BUCKET}/tune",
            worker_pool_specs=pools,
            study_spec_metrics=tuning.serialize_metrics({"loss": "minimize"}),
            study_spec_parameters=tuning.serialize_parameters(
                {
                    "rate": hyperparameter_tuning.DoubleParameterSpec(
                        min=0.001, max=0.04, scale="linear"
                    )
                }
            ),
            max_trial_count=3,
            parallel_trial_count=3,
        )
        trained = CustomTrainingJobOp(
            display_name="train",
            worker_pool_specs=pools,
            base_output_directory=f"gs://{BUCKET}/train",
        ).after(tuned)
        model = dsl.importer(
            artifact_uri=f"gs://{BUCKET}/train/model",
            artifact_class=artifact_types.UnmanagedContainerModel,
            metadata=served,
        ).after(trained)
        uploaded = ModelUploadOp(display_name="line", unmanaged_container_model=model.output)
        endpoint = EndpointCreateOp(display_name="line")
        ModelDeployOp(
            model=uploaded.outputs["model"],
            endpoint=endpoint.outputs["endpoint"],
            dedicated_resources_machine_type=MACHINE,
            dedicated_resources_min_replica_count=1,
            dedicated_resources_max_replica_count=1,
            traffic_split={"0": 100},
        )
        ModelBatchPredictOp(
            job_display_name="line",
            model=uploaded.outputs["model"],
            gcs_source_uris=[f"gs://{BUCKET}/rows.jsonl"],
            gcs_destination_output_uri_prefix=f"gs://{BUCKET}/batch",
            instances_format="jsonl",
            predictions_format="jsonl",
            machine_type=MACHINE,
        )

    path = tmp_path_factory.mktemp("launchers") / "launchers.yaml"
    compiler.Compiler().compile(launchers, str(path))
    return path


@pytest.fixture(scope="module")
def outcome(launchers, tmp_path_factory):
    """What a user's script sees, run by `doctune local exec` in a folder of its own."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "config").mkdir()
    config = {
        "project": "demo-project",
        "staging_bucket": f"gs://{BUCKET}",
        "images": {"prefix": "example.com", "tag": "1"},
        "endpoint": {"name": "line"},
        "local": {"programs": {"*/fit:*": [*LINE, "fit"], "*/serve:*": [*LINE, "serve"]}},
    }
    (folder / "config/vertex_config.yaml").write_text(yaml.safe_dump(config))
    script = [sys.executable, str(PROGRAMS / "run_launchers.py"), str(launchers), BUCKET]
    done = subprocess.run(
        [sys.executable, "-m", "doctune", "local", "exec", "--", *script],
        cwd=folder,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_launchers_tune_and_train(outcome):
    assert set(outcome["tasks"].values()) == {"SUCCEEDED"}
    assert len(outcome["tasks"]) == 8
    assert len(outcome["losses"]) == 3
    assert outcome["losses"] == sorted(outcome["losses"])
    assert set(outcome["trained"]) == {"JOB_STATE_SUCCEEDED"}


def test_what_the_launchers_deployed_predicts_what_was_trained(outcome):
    assert outcome["online"] == pytest.approx([12.0], abs=1e-3)
    assert outcome["batch"] == pytest.approx([3.0, 7.5], abs=1e-3)


def test_a_component_becomes_a_custom_job(environment, unique, tmp_path):
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import aiplatform
    from google_cloud_pipeline_components.v1.custom_job import (
        CustomTrainingJobOp,
        create_custom_training_job_from_component,
    )
    from kfp import compiler, dsl

    @dsl.component(base_image=ENVIRONMENT_IMAGE, install_kfp_package=False)
    def train(steps: int, model: dsl.Output[dsl.Model]) -> float:
        from pathlib import Path

        Path(model.path).write_text("w" * steps)
        return steps / 2

    @dsl.component(base_image=ENVIRONMENT_IMAGE, install_kfp_package=False)
    def weigh(model: dsl.Input[dsl.Model]) -> int:
        from pathlib import Path

        return len(Path(model.path).read_text())

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

    compiler.Compiler().compile(trains, str(tmp_path / "trains.yaml"))
    aiplatform.init(
        project="demo-project", location="us-central1", credentials=AnonymousCredentials()
    )
    job = aiplatform.PipelineJob(
        display_name="trains",
        template_path=str(tmp_path / "trains.yaml"),
        pipeline_root=f"gs://demo-bucket/{unique}",
        parameter_values={"report": str(tmp_path)},
    )
    job.submit()
    wait_for(lambda: job.state.name.endswith(("SUCCEEDED", "FAILED")), 400)
    assert job.state.name == "PIPELINE_STATE_SUCCEEDED", job.gca_resource.error
    assert (tmp_path / "workerpool0-0.json").exists()
    job._sync_gca_resource()
    outputs = {d.task_name: dict(d.execution.metadata) for d in job.task_details}
    assert outputs["train"]["output:Output"] == 2.0
    assert outputs["weigh"]["output:Output"] == 4


def test_a_schedule_fires_and_completes(minutely):
    """Comes last: it waits for what is left of the minute."""
    wait_for(lambda: minutely.state.name == "COMPLETED", 75)
    (job,) = minutely.list_jobs()
    wait_for(lambda: job.state.name == "PIPELINE_STATE_SUCCEEDED", 30)
    minutely._sync_gca_resource()
    assert minutely._gca_resource.started_run_count == 1
    response = minutely._gca_resource.last_scheduled_run_response.run_response
    assert response == f"OK: {job.resource_name}"
    job._sync_gca_resource()
    outputs = {d.task_name: dict(d.execution.metadata) for d in job.task_details}
    assert outputs["greet"]["output:Output"] == "hello world"
