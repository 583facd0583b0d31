"""pipelines/tune_hyperparameters.py: the same search by a tuning job and inside the pipeline."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.training.conftest import save_tiny_llama
from tests.waiting import wait_for

ROOT = Path(__file__).parents[2]
BUCKET = "demo-bucket"
TRIALS = 2


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from kfp import compiler

    from pipelines.tune_hyperparameters import tune_hyperparameters

    path = tmp_path_factory.mktemp("spec") / "tune_hyperparameters.yaml"
    compiler.Compiler().compile(tune_hyperparameters, str(path))
    return path


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """PDFs and a base model, the same for both searches: what comes before them is cached."""
    folder = tmp_path_factory.mktemp("sources")
    (folder / "pdfs").mkdir()
    for name in ("faq", "glossary", "warranty-and-returns"):
        shutil.copy(ROOT / f"samples/pdfs/{name}.pdf", folder / "pdfs")
    return folder / "pdfs", save_tiny_llama(folder / "base")


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(("service", "jobs"), [("vertex", 1), ("here", 0)])
def test_the_best_trial_trains_the_model(
    service: str, jobs: int, spec: Path, sources: tuple[Path, Path], unique: str
) -> None:
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import aiplatform

    aiplatform.init(
        project="demo-project", location="us-central1", credentials=AnonymousCredentials()
    )
    pdfs, base_model = sources
    common = {
        "base_model": str(base_model),
        "max_steps": 2,
        "dtype": "float32",
        "num_threads": 1,
    }
    space = {"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}, "lora_r": [2, 4]}
    job = aiplatform.PipelineJob(
        display_name=unique,
        template_path=str(spec),
        pipeline_root=f"gs://{BUCKET}/search-pipeline",
        parameter_values={
            "pdfs": str(pdfs),
            "corpus_digest": "three files",
            "project": "demo-project",
            "location": "us-central1",
            "staging_bucket": f"gs://{BUCKET}/{unique}",
            "search_service": service,
            "max_trials": TRIALS,
            "dataset_advanced": {"max_examples": 40},
            "training": common,
            "search": {"space": space},
        },
    )

    job.submit()
    wait_for(lambda: job.state.name.endswith(("SUCCEEDED", "FAILED")), 400)

    assert job.state.name == "PIPELINE_STATE_SUCCEEDED", job.gca_resource.error
    job._sync_gca_resource()
    searched = _read(_artifact(job, "pick-trial", "trials").uri)
    assert [trial["state"] for trial in searched["trials"]] == ["complete"] * TRIALS
    trained = _read(_artifact(job, "tune-model", "model").uri + "/training.json")
    for name in ("learning_rate", "lora_r", "max_steps"):
        assert trained["options"][name] == pytest.approx(searched["best_options"][name])
    assert "Importance" in _text(_artifact(job, "pick-trial", "report").uri)
    assert len(_searches(job)) == jobs


def _searches(job: Any) -> list[Any]:
    return [task for task in job.task_details if task.task_name == "hyperparameter-tuning-job"]


def _artifact(job: Any, task: str, output: str) -> Any:
    # The second branch's tasks carry a number.
    (found,) = [
        artifact
        for detail in job.task_details
        if detail.task_name in (task, f"{task}-2") and output in detail.outputs
        for artifact in detail.outputs[output].artifacts
    ]
    return found


def _text(uri: str) -> str:
    from google.cloud import storage

    bucket, _, name = uri.removeprefix("gs://").partition("/")
    return storage.Client().bucket(bucket).blob(name).download_as_text()


def _read(uri: str) -> Any:
    return json.loads(_text(uri))
