"""Each step's outputs, made once by the step before it, as in the pipeline."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl

from components.evaluate_model import evaluate_model
from components.join_documents import join_documents
from components.parse_pdfs import parse_pdfs
from components.plan_shards import plan_shards
from components.prepare_dataset import prepare_dataset
from components.tune_model import tune_model
from doctune.localvertex import LocalVertex, LocalVertexConfig
from tests.components.one_step import Artifact, run_component, run_spec
from tests.evaluation.tiny_models import write_model

ROOT = Path(__file__).parents[2]
PDFS = ("faq.pdf", "glossary.pdf", "warranty-and-returns.pdf", "yield-log-damaged.pdf")
CLOUD = {
    "project": "doctune-test",
    "location": "us-central1",
    "staging_bucket": "gs://doctune-test-components",
}

Outputs = dict[str, Any]


def as_input(output: Outputs, artifact_class: type[dsl.Artifact] = dsl.Dataset) -> Artifact:
    """Turns a step's output artifact into the next step's input."""
    return Artifact(Path(output["uri"]), artifact_class, output["metadata"])


@pytest.fixture(scope="package")
def base_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("base"), seed=0)


@pytest.fixture(scope="package")
def pdfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pdfs")
    for name in PDFS:
        shutil.copy(ROOT / "samples/pdfs" / name, folder / name)
    return folder


@pytest.fixture(scope="package")
def parsed(tmp_path_factory: pytest.TempPathFactory, pdfs: Path) -> Outputs:
    """The output of join_documents, from one shard."""
    return read_in_shards(tmp_path_factory.mktemp("parse"), pdfs, 1)


def read_in_shards(folder: Path, pdfs: Path, shards: int) -> Outputs:
    """Runs the three steps that read PDFs, in a loop as the pipeline does; returns the last's."""

    @dsl.pipeline(name="read")
    def read() -> None:
        source = dsl.importer(artifact_uri=str(pdfs), artifact_class=dsl.Artifact).output
        planned = plan_shards(pdfs=source, shards=shards)
        with dsl.ParallelFor(planned.outputs["Output"]) as shard:
            part = parse_pdfs(pdfs=source, plan=planned.outputs["plan"], shard=shard)
        join_documents(
            pdfs=source,
            parts=dsl.Collected(part.outputs["documents"]),
            advanced={"max_failure_share": 0.5},  # one of four is broken
        )

    result = run_spec(read, folder)
    return result.outputs("join-documents")


@pytest.fixture(scope="package")
def prepared(
    tmp_path_factory: pytest.TempPathFactory, parsed: Outputs, base_model: Path
) -> Outputs:
    return run_component(
        prepare_dataset,
        tmp_path_factory.mktemp("prepare"),
        artifacts={"documents": as_input(parsed["documents"])},
        base_model=str(base_model),
        chunk_tokens=128,
        advanced={"max_examples": 120},
    )


@pytest.fixture(scope="package")
def tuned(tmp_path_factory: pytest.TempPathFactory, prepared: Outputs, base_model: Path) -> Outputs:
    return run_component(
        tune_model,
        tmp_path_factory.mktemp("tune"),
        artifacts={
            "train_set": as_input(prepared["train_set"]),
            "validation_set": as_input(prepared["validation_set"]),
        },
        base_model=str(base_model),
        learning_rate=0.01,
        num_train_epochs=2.0,
        lora_r=4,
        advanced={"warmup_ratio": 0.0},
    )


@pytest.fixture(scope="package")
def evaluated(
    tmp_path_factory: pytest.TempPathFactory, prepared: Outputs, tuned: Outputs
) -> Outputs:
    return run_component(
        evaluate_model,
        tmp_path_factory.mktemp("evaluate"),
        artifacts={
            "model": as_input(tuned["model"], dsl.Model),
            "test_set": as_input(prepared["test_set"]),
            "train_set": as_input(prepared["train_set"]),
        },
        max_new_tokens=4,
        advanced={"max_examples": 8, "min_examples": 4},
    )


@pytest.fixture(scope="package")
def local_vertex(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    config = LocalVertexConfig(
        project=CLOUD["project"],
        location=CLOUD["location"],
        state_dir=tmp_path_factory.mktemp("localvertex"),
        programs={"*/serving:*": ["{python}", "-m", "doctune.serving"]},
        environment={"OMP_NUM_THREADS": "1"},
    )
    with LocalVertex.attach_or_start(config) as local:
        yield local.environment
