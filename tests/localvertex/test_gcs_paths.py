"""/gcs/BUCKET is the bucket in jobs, steps and serving programs, found while they run."""

import uuid
from pathlib import Path

import pytest

from tests.localvertex.conftest import PROGRAMS
from tests.waiting import wait_for

TRANSPORTS = ("rest",)
MACHINE = {"machine_type": "n1-standard-4"}
OVER = ("SUCCEEDED", "FAILED", "CANCELLED")
TRAINER = """
import os
folder = os.environ["AIP_MODEL_DIR"].replace("gs://", "/gcs/")
os.makedirs(folder, exist_ok=True)
with open(os.path.join(folder, "model.txt"), "w") as file:
    file.write("trained")
"""


def over(job):
    return job.state.name.endswith(OVER)


@pytest.fixture
def bucket(aip):
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    client = storage.Client(project="demo-project", credentials=AnonymousCredentials())
    return client.bucket("demo-bucket")


def train(aip, folder):
    job = aip.CustomJob(
        display_name="gcs",
        worker_pool_specs=[
            {
                "machine_spec": MACHINE,
                "replica_count": 1,
                "container_spec": {
                    "image_uri": "us-docker.pkg.dev/demo/images/environment:1",
                    "command": ["python", "-c", TRAINER],
                },
            }
        ],
        base_output_dir=folder,
    )
    job.submit()
    wait_for(lambda: over(job), 60)
    return job


def test_a_trainer_that_turns_its_folder_into_gcs_writes_objects(aip, bucket, unique):
    job = train(aip, f"gs://demo-bucket/{unique}")

    assert job.state.name == "JOB_STATE_SUCCEEDED", job.error
    assert bucket.blob(f"{unique}/model/model.txt").download_as_text() == "trained"
    assert not Path("/gcs").exists()


def test_a_trainer_that_writes_to_a_bucket_that_is_not_there_has_failed(aip, unique):
    job = train(aip, f"gs://no-bucket-{unique}/out")

    assert job.state.name == "JOB_STATE_FAILED"
    assert "Read-only file system" in job.error.message


def test_a_step_writes_to_gcs_and_artifacts_have_gs_uris_and_gcs_paths(
    aip, bucket, unique, tmp_path
):
    from kfp import compiler, dsl

    @dsl.component(base_image="python:3.11", install_kfp_package=False)
    def write(folder: str, note: dsl.Output[dsl.Dataset]) -> str:
        from pathlib import Path

        Path(folder.replace("gs://", "/gcs/")).mkdir(parents=True)
        Path(folder.replace("gs://", "/gcs/"), "side.txt").write_text("aside")
        Path(note.path).write_text("noted")
        return f"{note.uri} {note.path}"

    @dsl.container_component
    def copy(note: dsl.Input[dsl.Dataset], copied: dsl.Output[dsl.Dataset]):
        return dsl.ContainerSpec(
            image="us-docker.pkg.dev/demo/images/environment:1",
            command=["sh", "-c", 'mkdir -p "$(dirname $1)" && cp "$0" "$1"'],
            args=[note.path, copied.path],
        )

    @dsl.component(base_image="python:3.11", install_kfp_package=False)
    def read(note: dsl.Input[dsl.Dataset]) -> str:
        from pathlib import Path

        return Path(note.path).read_text()

    @dsl.pipeline(name="paths")
    def paths(folder: str) -> str:
        written = write(folder=folder)
        copied = copy(note=written.outputs["note"])
        return read(note=copied.outputs["copied"]).output

    spec = tmp_path / "paths.yaml"
    compiler.Compiler().compile(paths, str(spec))
    job_id = f"paths-{uuid.uuid4().hex[:8]}"
    job = aip.PipelineJob(
        display_name="paths",
        template_path=str(spec),
        job_id=job_id,
        pipeline_root=f"gs://demo-bucket/{unique}/root",
        parameter_values={"folder": f"gs://demo-bucket/{unique}/side"},
    )
    job.submit()
    wait_for(lambda: over(job), 120)

    assert job.state.name == "PIPELINE_STATE_SUCCEEDED", job.gca_resource.error
    job._sync_gca_resource()
    tasks = {task.task_name: task for task in job.task_details}
    # As on Vertex AI: ROOT/PROJECT_NUMBER/JOB_ID/TASK_TASKID/ARTIFACT.
    number = job.resource_name.split("/")[1]
    where = f"demo-bucket/{unique}/root/{number}/{job_id}/write_{tasks['write'].task_id}/note"
    assert tasks["write"].execution.metadata["output:Output"] == f"gs://{where} /gcs/{where}"
    assert tasks["read"].execution.metadata["output:Output"] == "noted"
    assert bucket.blob(f"{unique}/side/side.txt").download_as_text() == "aside"
    output = where.removeprefix("demo-bucket/").replace("/note", "/executor_output.json")
    assert bucket.blob(output).exists()


def test_a_serving_program_reads_its_model_under_gcs(local, aip, bucket, unique):
    bucket.blob(f"{unique}/model.txt").upload_from_string("weights")
    model = aip.Model.upload(
        display_name=unique,
        artifact_uri=f"gs://demo-bucket/{unique}",
        serving_container_image_uri="us-docker.pkg.dev/demo/images/environment:1",
        serving_container_command=["python", str(PROGRAMS / "gcs_server.py")],
        serving_container_health_route="/health",
        serving_container_predict_route="/predict",
    )
    endpoint = model.deploy(machine_type="n1-standard-4")
    try:
        assert endpoint.predict(instances=["a"]).predictions == ["weights"]
    finally:
        endpoint.delete(force=True)
