"""Each component alone, compiled and run by kfp.local, keeps the contract of its docstring."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from kfp import dsl

from components.deploy_model import deploy_model
from components.find_champion import find_champion
from components.plan_shards import plan_shards
from components.register_model import register_model
from doctune.errors import PipelineError
from doctune.publishing import write_manifest
from tests.components.conftest import CLOUD, Outputs, as_input, read_in_shards
from tests.components.one_step import Artifact, run_component

SERVING_IMAGE = "example.com/doctune/serving:0123abc"


def test_reading_writes_blocks_files_and_a_report(parsed: Outputs) -> None:
    documents = Path(parsed["documents"]["uri"])
    metadata = parsed["documents"]["metadata"]

    rows = pq.read_table(documents / "documents.parquet").to_pylist()

    assert pq.read_table(documents / "blocks.parquet").num_rows > 100
    assert sorted(row["status"] for row in rows) == ["parsed", "parsed", "parsed", "rejected"]
    assert (metadata["files_parsed"], metadata["files_rejected"]) == (3, 1)
    assert Path(parsed["report"]["uri"]).read_text().lstrip().lower().startswith("<!doctype html")


def test_three_shards_read_what_one_reads(tmp_path: Path, pdfs: Path, parsed: Outputs) -> None:
    joined = read_in_shards(tmp_path, pdfs, 3)

    assert joined["documents"]["metadata"] == parsed["documents"]["metadata"]
    for name, unlike in (("blocks.parquet", []), ("documents.parquet", ["seconds"])):
        one, three = (
            pq.read_table(Path(outputs["documents"]["uri"]) / name).drop_columns(unlike)
            for outputs in (parsed, joined)
        )
        assert three.equals(one), name
    parts = tmp_path.glob("pipeline_root/*/parse-pdfs_*/documents")
    assert sorted(len(pq.read_table(part / "documents.parquet")) for part in parts) == [1, 1, 2]


def test_prepare_dataset_writes_three_sides_a_manifest_and_a_card(
    prepared: Outputs, parsed: Outputs
) -> None:
    for side in ("train_set", "validation_set", "test_set"):
        lines = Path(prepared[side]["uri"]).read_text().splitlines()
        assert len(lines) == prepared[side]["metadata"]["examples"] > 0
        example = json.loads(lines[0])
        assert [message["role"] for message in example["messages"]][-2:] == ["user", "assistant"]
        assert (
            prepared[side]["metadata"]["documents_digest"]
            == (parsed["documents"]["metadata"]["digest"])
        )
    manifest = json.loads(Path(prepared["manifest"]["uri"]).read_text())
    assert manifest["tokenizer"] == "Tokenizer"  # the base model's own counts, nothing is estimated
    assert "# " in Path(prepared["card"]["uri"]).read_text()


def test_tune_model_writes_adapter_model_and_record(tuned: Outputs, prepared: Outputs) -> None:
    folder = Path(tuned["model"]["uri"])
    metadata = tuned["model"]["metadata"]

    assert (folder / "adapter/adapter_model.safetensors").is_file()
    assert list((folder / "model").glob("*.safetensors"))
    assert json.loads((folder / "training.json").read_text())["base_model"]
    assert metadata["loss_after"] < metadata["loss_before"]
    assert metadata["dataset_digest"] == prepared["train_set"]["metadata"]["digest"]
    assert Path(tuned["curves"]["uri"]).is_file()


def test_evaluate_model_logs_scores_and_gives_a_verdict(evaluated: Outputs) -> None:
    metadata = evaluated["scores"]["metadata"]

    assert evaluated["Output"] is (metadata["outcome"] == "no_incumbent")
    assert metadata["perplexity_tuned"] < metadata["perplexity_base"]
    assert metadata["answering"] == "model"  # without an index there is nothing to quote
    assert metadata["outcome"] in {"no_incumbent", "lose", "tie"}
    assert Path(evaluated["predictions"]["uri"]).read_text().count("\n") == 8
    assert "<html" in Path(evaluated["report"]["uri"]).read_text()


@pytest.fixture(scope="module")
def registered(
    tmp_path_factory: pytest.TempPathFactory,
    tuned: Outputs,
    evaluated: Outputs,
    local_vertex: dict[str, str],
) -> Outputs:
    index = tmp_path_factory.mktemp("index")
    (index / "index.json").write_text("{}")
    write_manifest(index)
    return run_component(
        register_model,
        tmp_path_factory.mktemp("register"),
        artifacts={
            "model": as_input(tuned["model"], dsl.Model),
            "scores": as_input(evaluated["scores"], dsl.Metrics),
            "index": Artifact(index, dsl.Artifact, {"digest": "c" * 64}),
        },
        environment=local_vertex,
        model_name="handbook",
        serving_image=SERVING_IMAGE,
        run="run-1",
        commit="0123abc",
        **CLOUD,
    )


def test_register_model_gives_a_vertex_model_artifact(registered: Outputs) -> None:
    version = registered["model_version"]

    assert version["metadata"]["resourceName"].endswith("@1")
    kept = f"{CLOUD['staging_bucket']}-evaluation-results/indexes/"
    assert version["metadata"]["index"].startswith(kept)
    assert version["uri"].startswith("https://us-central1-aiplatform.googleapis.com/v1/projects/")


def test_a_capped_run_says_so_in_metadata_and_in_the_versions_labels(
    registered: Outputs, tuned: Outputs, evaluated: Outputs, local_vertex: dict[str, str]
) -> None:
    (dataset,) = tuned["model"]["metadata"]["caps"]
    capped = evaluated["scores"]["metadata"]["capped"]
    name = registered["model_version"]["metadata"]["resourceName"]
    script = (
        "import sys; from doctune.vertex import init_session; "
        "from doctune.vertex.registry import get_version; "
        "init_session(*sys.argv[1:4]); print(get_version(sys.argv[4]).labels['capped'])"
    )

    told = subprocess.run(
        [sys.executable, "-c", script, *CLOUD.values(), name],
        env={**os.environ, **local_vertex},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )

    assert dataset.startswith("120 of ")
    assert dataset in capped
    assert "(evaluation.max_examples)" in capped
    assert told.stdout.strip() == "true"


@pytest.fixture(scope="module")
def deployed(
    tmp_path_factory: pytest.TempPathFactory, registered: Outputs, local_vertex: dict[str, str]
) -> Outputs:
    version = registered["model_version"]
    return run_component(
        deploy_model,
        tmp_path_factory.mktemp("deploy"),
        artifacts={
            "model_version": Artifact(version["uri"], dsl.Artifact, version["metadata"]),
        },
        environment=local_vertex,
        endpoint_name="handbook",
        judged_against="",
        run="run-1",
        smoke_prompt="what holds the oil?",
        **CLOUD,
    )


def test_deploy_model_gives_a_vertex_endpoint_artifact(deployed: Outputs) -> None:
    endpoint = deployed["endpoint"]

    assert "/endpoints/" in endpoint["metadata"]["resourceName"]
    assert endpoint["uri"].startswith("https://us-central1-aiplatform.googleapis.com/v1/projects/")


def test_find_champion_gives_no_incumbent_for_the_champion_itself(
    tmp_path: Path, deployed: Outputs, tuned: Outputs, local_vertex: dict[str, str]
) -> None:
    outputs = run_component(
        find_champion,
        tmp_path,
        artifacts={"model": as_input(tuned["model"], dsl.Model)},
        environment=local_vertex,
        model_name="handbook",
        **CLOUD,
    )

    assert outputs["Output"] == ""


def test_find_champion_gives_the_incumbent_of_another_model(
    tmp_path: Path, deployed: Outputs, tuned: Outputs, local_vertex: dict[str, str]
) -> None:
    candidate = as_input(tuned["model"], dsl.Model)
    another = Artifact(candidate.path, dsl.Model, {**candidate.metadata, "digest": "f" * 64})

    outputs = run_component(
        find_champion,
        tmp_path,
        artifacts={"model": another},
        environment=local_vertex,
        model_name="handbook",
        **CLOUD,
    )

    assert outputs["Output"].startswith(
        "gs://doctune-test-components-model-artifacts/models/handbook/"
    )


def test_a_failing_step_says_why_in_one_line(tmp_path: Path, base_model: Path) -> None:
    with pytest.raises(PipelineError, match="no PDF"):
        run_component(plan_shards, tmp_path / "run", artifacts={"pdfs": Artifact(base_model)})
