"""The training step as a custom job of two workers, each a process, that train one model."""

import json
from pathlib import Path

import pytest

from tests.training.conftest import save_tiny_llama, write_rows
from tests.waiting import wait_for

BUCKET = "demo-bucket"


@pytest.fixture
def two_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The configuration asks for two machines."""
    from doctune.configuration.vertex_sections import MachinesSettings, TrainingMachineSettings
    from pipelines import machines

    training = TrainingMachineSettings(machine_type="n1-standard-4", replica_count=2)
    monkeypatch.setattr(machines, "_MACHINES", MachinesSettings(training=training))


@pytest.mark.usefixtures("environment", "two_workers")
def test_two_workers_of_a_custom_job_train_one_model(
    unique: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import aiplatform, storage
    from kfp import compiler, dsl

    from components.tune_model import tune_model
    from pipelines import machines

    @dsl.pipeline(name="trains-on-two")
    def trains_on_two(base_model: str) -> None:
        sets = [
            dsl.importer(
                artifact_uri=f"gs://{BUCKET}/{unique}/{name}",
                artifact_class=dsl.Dataset,
                metadata={"digest": "d" * 64, "documents_digest": "e" * 64},
            )
            for name in ("train.jsonl", "validation.jsonl")
        ]
        tuned = machines.on_workers(tune_model)(
            train_set=sets[0].output,
            validation_set=sets[1].output,
            base_model=base_model,
            per_device_train_batch_size=4,
            lora_r=4,
            advanced={"max_steps": 3, "num_threads": 1, "dtype": "float32", "fsdp": True},
        )
        machines.tuning(tuned)

    compiler.Compiler().compile(trains_on_two, str(tmp_path / "spec.yaml"))
    pairs = [(f"what is {number}", f"it is {number}") for number in range(24)]
    bucket = storage.Client().bucket(BUCKET)
    for name, rows in (("train.jsonl", pairs[:20]), ("validation.jsonl", pairs[20:])):
        file = write_rows(tmp_path / name, rows)
        bucket.blob(f"{unique}/{name}").upload_from_filename(str(file))
    aiplatform.init(
        project="demo-project", location="us-central1", credentials=AnonymousCredentials()
    )
    job = aiplatform.PipelineJob(
        display_name=unique,
        template_path=str(tmp_path / "spec.yaml"),
        pipeline_root=f"gs://{BUCKET}/{unique}/root",
        parameter_values={"base_model": str(save_tiny_llama(tmp_path / "base"))},
    )
    job.submit()
    wait_for(lambda: job.state.name.endswith(("SUCCEEDED", "FAILED")), 300)
    assert job.state.name == "PIPELINE_STATE_SUCCEEDED", job.gca_resource.error
    job._sync_gca_resource()
    (model,) = [
        artifact
        for task in job.task_details
        if task.task_name == "tune-model"
        for artifact in task.outputs["model"].artifacts
    ]
    assert model.metadata["steps"] == 3
    blob = storage.Blob.from_uri(f"{model.uri}/training.json", client=bucket.client)
    record = json.loads(blob.download_as_text())
    assert record["steps"] == 3
    logs = [
        path.read_text()
        for path in sorted(tmp_path_factory.getbasetemp().rglob("workerpool*.log"))
        if "Trained 3 steps" in path.read_text()
    ]
    assert len(logs) == 2
    assert all("FSDP2: this worker keeps" in log for log in logs)
    custom = [found for found in aiplatform.CustomJob.list() if "tune-model" in found.display_name]
    pools = custom[0].gca_resource.job_spec.worker_pool_specs
    assert [pool.replica_count for pool in pools] == [1, 1]
