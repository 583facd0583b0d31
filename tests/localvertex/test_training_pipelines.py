"""The SDK's training jobs, which are training pipelines on the wire."""

import pytest

from tests.localvertex.conftest import IMAGE, TRAINING_IMAGE

TRANSPORTS = ("grpc",)


def test_a_training_job_trains_and_uploads_its_model(aip, tmp_path, unique):
    job = aip.CustomContainerTrainingJob(
        display_name=unique,
        container_uri=TRAINING_IMAGE,
        model_serving_container_image_uri=IMAGE,
        model_serving_container_predict_route="/predict",
        model_serving_container_health_route="/health",
    )
    model = job.run(
        model_display_name=unique,
        base_output_dir=f"gs://demo-bucket/{unique}",
        args=["--report", str(tmp_path)],
        machine_type="n1-standard-4",
        model_version_aliases=["candidate"],
    )
    assert (tmp_path / "workerpool0-0.json").exists()
    assert model.display_name == unique
    assert model.uri == f"gs://demo-bucket/{unique}/model"
    assert "candidate" in model.version_aliases
    (listed,) = aip.CustomContainerTrainingJob.list(filter=f'display_name="{unique}"')
    assert listed.resource_name == job.resource_name
    assert job.state.name == "PIPELINE_STATE_SUCCEEDED"


def test_a_failing_training_job_says_why(aip, unique):
    job = aip.CustomContainerTrainingJob(display_name=unique, container_uri=TRAINING_IMAGE)
    with pytest.raises(RuntimeError, match="the loss is not a number"):
        job.run(
            base_output_dir=f"gs://demo-bucket/{unique}",
            args=["--fail=workerpool0"],
            machine_type="n1-standard-4",
        )
    job.delete()


def test_a_training_script_travels_as_a_package(aip, tmp_path, unique):
    script = tmp_path / "task.py"
    script.write_text("import sys, pathlib\npathlib.Path(sys.argv[1]).write_text('trained')\n")
    job = aip.CustomTrainingJob(
        display_name=unique, script_path=str(script), container_uri=TRAINING_IMAGE
    )
    job.run(
        base_output_dir=f"gs://demo-bucket/{unique}",
        args=[str(tmp_path / "result")],
        machine_type="n1-standard-4",
    )
    assert (tmp_path / "result").read_text() == "trained"
