"""The Model Registry through Google's SDK, against localvertex."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from doctune.errors import ModelError, RegistryError, StorageError
from doctune.vertex import RegisteredModel, find_champion, register_model, upload_model
from doctune.vertex.registry import get_version, list_versions, set_aliases
from tests.serving.tiny_model import write_tiny_model
from tests.vertex.conftest import BUCKET, IMAGES, PROJECT

pytestmark = pytest.mark.usefixtures("vertex")

IMAGE = f"{IMAGES}/light:1"


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
    assert registered.uri.startswith(f"{BUCKET}/models/{unique}/")
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


def test_a_model_in_cloud_storage_is_used_where_it_lies(model_folder: Path, unique: str) -> None:
    uri, _ = upload_model(model_folder, model_name=f"{unique}-elsewhere", staging_bucket=BUCKET)
    registered = register(f"{uri}/", unique)
    assert registered.uri == uri
    assert register(uri, unique).version_name == registered.version_name


def test_what_is_no_model_is_refused_before_anything_is_registered(
    tmp_path: Path, unique: str
) -> None:
    with pytest.raises(ModelError, match="holds no model"):
        register(tmp_path, unique)
    with pytest.raises(StorageError, match="holds no model"):
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
