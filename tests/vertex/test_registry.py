"""The Model Registry through Google's SDK, against localvertex."""

import dataclasses
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from doctune.errors import ConfigurationError, ModelError, RegistryError, StorageError
from doctune.publishing import MANIFEST_FILE, write_manifest
from doctune.vertex import (
    RegisteredModel,
    ServingContainer,
    find_champion,
    keep_evaluation,
    keep_index,
    list_folder,
    register_model,
    served_by,
    upload_folder,
)
from doctune.vertex.registry import get_version, list_versions, set_aliases
from doctune.vertex.retention import Retained, retention_bucket
from tests.serving.tiny_model import write_tiny_model
from tests.vertex.conftest import BUCKET, IMAGES, PROJECT

pytestmark = pytest.mark.usefixtures("vertex")

IMAGE = f"{IMAGES}/light:1"
MODELS = f"{BUCKET}-model-artifacts"


def register(folder: Path | str, name: str, **options: object) -> RegisteredModel:
    return register_model(folder, **{"model_name": name, "serving_image": IMAGE, **options})


@pytest.fixture(scope="module")
def other_model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("other"), seed=1)


def evaluations(registered: RegisteredModel) -> list[dict]:
    from google.cloud import aiplatform

    model = aiplatform.Model(registered.version_name)
    return [dict(found.metrics) for found in model.list_model_evaluations()]


def test_a_version_says_what_it_was_made_from(model_folder: Path, unique: str) -> None:
    registered = register(
        model_folder,
        unique,
        digest="d" * 64,
        labels={"documents": "A" * 64, "run": "Train & Deploy/7", "commit": "0a1b", "empty": ""},
    )
    version = get_version(registered.version_name)
    assert version.display_name == unique
    assert dict(version.labels) == {
        "managed-by": "doctune",
        "digest": "d" * 63,
        "documents": "a" * 63,
        "run": "train---deploy-7",
        "commit": "0a1b",
    }
    assert version.container_spec.image_uri == IMAGE
    assert version.container_spec.health_route == "/health"
    assert version.container_spec.predict_route == "/predict"
    assert version.container_spec.ports[0].container_port == 8080
    assert "candidate" in version.version_aliases
    assert registered.created
    assert registered.uri == version.artifact_uri
    assert registered.uri.startswith(f"{MODELS}/models/{unique}/")
    assert registered.version_name == f"{registered.resource_name}@{registered.version_id}"
    assert registered.artifact_uri == (
        f"https://us-central1-aiplatform.googleapis.com/v1/{registered.version_name}"
    )


def test_registering_the_same_model_again_changes_nothing(model_folder: Path, unique: str) -> None:
    scores = {"rouge_l": 0.5, "perplexity": 3.0}
    first = register(model_folder, unique, scores=scores)
    before = get_version(first.version_name)
    second = register(model_folder, unique, scores=scores)
    assert not second.created
    assert second.version_name == first.version_name
    assert len(list_versions(first.resource_name)) == 1
    assert get_version(first.version_name) == before
    assert len(evaluations(first)) == 1


def test_another_model_or_another_server_is_a_new_version(
    model_folder: Path, other_model_folder: Path, unique: str
) -> None:
    first = register(model_folder, unique)
    second = register(other_model_folder, unique)
    third = register(model_folder, unique, serving_image=f"{IMAGES}/light:2")
    assert [first.version_id, second.version_id, third.version_id] == ["1", "2", "3"]
    assert {v.resource_name for v in (first, second, third)} == {first.resource_name}
    assert "candidate" in get_version(third.version_name).version_aliases
    assert "candidate" not in get_version(first.version_name).version_aliases
    # A candidate is not yet what those get who ask for no version.
    assert "default" in get_version(first.version_name).version_aliases


def test_the_way_the_server_is_started_is_part_of_the_version(
    model_folder: Path, unique: str
) -> None:
    container = ServingContainer(
        image=IMAGE,
        arguments=("--engine", "native", "--max-batch-size", "8"),
        environment={"LD_LIBRARY_PATH": "/usr/local/nvidia/lib64"},
        shared_memory_mb=16384,
        deployment_seconds=1800,
        predict_route="/v1/chat/completions",
    )
    first = register(model_folder, unique, serving_image=container)
    spec = get_version(first.version_name).container_spec
    assert list(spec.args) == list(container.arguments)
    assert [(v.name, v.value) for v in spec.env] == list(container.environment.items())
    assert spec.shared_memory_size_mb == 16384
    assert spec.deployment_timeout.total_seconds() == 1800
    assert spec.predict_route == "/v1/chat/completions"
    assert not register(model_folder, unique, serving_image=container).created
    for change in (
        {"arguments": ("--engine", "vllm")},
        {"environment": {}},
        {"shared_memory_mb": 0},
        {"deployment_seconds": 60},
        {"predict_route": "/predict"},
    ):
        other = dataclasses.replace(container, **change)
        assert register(model_folder, unique, serving_image=other).created, change


def test_the_engine_that_was_judged_serves_unless_one_was_chosen() -> None:
    judged = {"engine": "openvino"}
    assert served_by("auto", ["--max-batch-size", "32"], judged) == (
        "openvino",
        ("--engine", "openvino", "--max-batch-size", "32"),
    )
    assert served_by("auto", [], {"engine": "native"}) == ("native", ())
    assert served_by("vllm", ["--engine", "vllm"], judged) == ("vllm", ("--engine", "vllm"))


def test_two_runs_at_once_register_under_one_model(
    model_folder: Path, other_model_folder: Path, unique: str
) -> None:
    with ThreadPoolExecutor(2) as pool:
        names = {
            registered.resource_name
            for registered in pool.map(
                lambda folder: register(folder, unique), [model_folder, other_model_folder]
            )
        }
    assert len(names) == 1
    assert len(list_versions(names.pop())) == 2


def test_the_evaluation_is_imported_flat_and_without_what_is_no_number(
    model_folder: Path, unique: str
) -> None:
    scores = {
        "perplexity_tuned": 2.5,
        "examples": 40,
        "outcome": "win",
        "passed": True,
        "unknown": float("nan"),
    }
    registered = register(model_folder, unique, scores=scores)
    assert evaluations(registered) == [{"perplexity_tuned": 2.5, "examples": 40.0}]


def test_a_model_in_cloud_storage_is_copied_to_where_models_are_kept(
    model_folder: Path, unique: str
) -> None:
    # As a run leaves it, in a bucket whose objects are deleted after a month.
    uri = f"{BUCKET}/runs/{unique}/model"
    upload_folder(model_folder, uri)
    registered = register(f"{uri}/", unique)
    assert registered.uri.startswith(f"{MODELS}/models/{unique}/")
    assert {item.relative for item in list_folder(uri)} < {
        item.relative for item in list_folder(registered.uri)
    }
    assert register(uri, unique).version_name == registered.version_name
    # What is there already is not copied again.
    assert register(registered.uri, unique).uri == registered.uri
    assert register(model_folder, unique).uri == registered.uri


def test_a_model_in_cloud_storage_is_checked(
    model_folder: Path, tmp_path: Path, unique: str
) -> None:
    folder = shutil.copytree(model_folder, tmp_path / "model")
    weights = next(folder.rglob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1])
    uri = f"{BUCKET}/runs/{unique}/cut-off"
    upload_folder(folder, uri)
    with pytest.raises(ModelError, match="is truncated or damaged"):
        register(uri, unique)
    weights.with_name("pytorch_model.bin").write_bytes(b"pickle")
    upload_folder(folder, uri)
    with pytest.raises(ModelError, match="may run code when it is loaded"):
        register(uri, unique)
    assert find_champion(unique) is None


def test_another_bucket_for_models_is_chosen_by_name(model_folder: Path, unique: str) -> None:
    registered = register(model_folder, unique, model_bucket="gs://doctune-test-other")
    assert registered.uri.startswith("gs://doctune-test-other/models/")


@pytest.mark.parametrize(
    ("staging", "models"),
    [
        ("gs://p-pipeline-root", "gs://p-model-artifacts"),
        ("gs://p", "gs://p-model-artifacts"),
    ],
)
def test_the_bucket_of_models_is_named_as_terraform_names_it(
    monkeypatch, staging: str, models: str
) -> None:
    from doctune.vertex import retention, session

    current = session.Session("p", "us-central1", staging, None)
    monkeypatch.setattr(retention, "current_session", lambda: current)
    assert retention_bucket(Retained.MODELS) == models
    assert retention_bucket(Retained.DATA) == "gs://p-training-data"
    long = dataclasses.replace(current, staging_bucket=f"gs://{'p' * 60}")
    monkeypatch.setattr(retention, "current_session", lambda: long)
    with pytest.raises(ConfigurationError, match="too long for a bucket"):
        retention_bucket(Retained.MODELS)


def test_the_files_of_an_evaluation_are_kept_once_each(tmp_path: Path, unique: str) -> None:
    predictions, train = tmp_path / "predictions.jsonl", tmp_path / "train.jsonl"
    predictions.write_text(unique)
    train.write_text(f"{unique} train")
    upload_folder(tmp_path, f"{BUCKET}/runs/{unique}")
    stored = f"{BUCKET}/runs/{unique}/train.jsonl"
    scores = {"chrf": 2.5, "outcome": "win", "predictions": str(predictions), "train_set": stored}
    kept = keep_evaluation(scores)
    assert (kept["chrf"], kept["outcome"]) == (2.5, "win")
    assert kept["predictions"].startswith("gs://doctune-test-staging-evaluation-results/")
    assert kept["train_set"].startswith("gs://doctune-test-staging-training-data/datasets/")
    assert kept["train_set"].endswith("/train.jsonl")
    assert keep_evaluation(kept) == kept == keep_evaluation(scores)
    with pytest.raises(StorageError):
        keep_evaluation({"predictions": f"{BUCKET}/{unique}/gone.jsonl"})


def test_an_index_is_kept_whole_where_nothing_is_deleted_after_a_month(
    tmp_path: Path, unique: str
) -> None:
    (tmp_path / "bm25").mkdir()
    (tmp_path / "bm25" / "words").write_text(unique)
    with pytest.raises(StorageError, match="incomplete: build the index again"):
        keep_index(str(tmp_path))
    write_manifest(tmp_path)
    upload_folder(tmp_path, f"{BUCKET}/runs/{unique}")

    kept = keep_index(f"{BUCKET}/runs/{unique}")

    assert kept.startswith(f"{BUCKET}-evaluation-results/indexes/")
    assert {item.relative for item in list_folder(kept)} == {"bm25/words", MANIFEST_FILE}
    assert keep_index(kept) == kept


def test_what_is_no_model_is_refused_before_anything_is_registered(
    tmp_path: Path, unique: str
) -> None:
    with pytest.raises(ModelError, match="holds no model"):
        register(tmp_path, unique)
    with pytest.raises(StorageError, match="holds no files"):
        register(f"{BUCKET}/{unique}/nothing", unique)
    assert find_champion(unique) is None


def test_the_champion_is_found_unless_it_is_the_candidate_itself(
    model_folder: Path, other_model_folder: Path, unique: str
) -> None:
    assert find_champion(unique) is None
    first = register(model_folder, unique, digest="a" * 64)
    assert find_champion(unique) is None
    set_aliases(first.version_name, add=["champion"])
    register(other_model_folder, unique, digest="b" * 64)
    champion = find_champion(unique, exclude_digest="b" * 64)
    assert champion is not None
    assert (champion.version_name, champion.uri) == (first.version_name, first.uri)
    assert find_champion(unique, exclude_digest="a" * 64) is None


def test_the_champion_does_not_become_a_candidate_again(model_folder: Path, unique: str) -> None:
    first = register(model_folder, unique)
    set_aliases(first.version_name, add=["champion"], remove=["candidate"])
    register(model_folder, unique)
    assert "candidate" not in get_version(first.version_name).version_aliases


def test_a_name_with_quotes_is_found_again(model_folder: Path, unique: str) -> None:
    name = f'{unique} "the \\ one"'
    first = register(model_folder, name)
    assert register(model_folder, name).version_name == first.version_name


def test_what_vertex_refuses_is_one_line_with_advice(model_folder: Path, unique: str) -> None:
    with pytest.raises(RegistryError) as caught:
        set_aliases_through_errors(f"projects/{PROJECT}/locations/us-central1/models/{unique}@1")
    assert "\n" not in str(caught.value)
    assert "Check the project, the location and the name." in str(caught.value)


def set_aliases_through_errors(name: str) -> None:
    from doctune.vertex.errors import google_errors

    with google_errors("promote", RegistryError):
        set_aliases(name, add=["champion"])
