"""Evaluations and their slices on model versions, through Google's SDK, against localvertex."""

import json
from pathlib import Path
from typing import Any

import pytest

from doctune.errors import RegistryError
from doctune.vertex import find_version, import_evaluation, model_versions, register_model
from doctune.vertex.history import training_set_of
from doctune.vertex.session import model_client
from tests.serving.tiny_model import write_tiny_model
from tests.vertex.conftest import IMAGES

pytestmark = pytest.mark.usefixtures("vertex")

SCORES = {"perplexity_tuned": 2.5, "outcome": "win", "test_digest": "t", "predictions": "gs://b/p"}


def register(folder: Path, name: str) -> str:
    return register_model(folder, model_name=name, serving_image=f"{IMAGES}/light:1").version_name


def score_file(path: Path, slices: int) -> Path:
    parts = [
        {"by": "document", "value": f"{number}.pdf", "examples": 9, "scores": {"chrf_tuned": 40.5}}
        for number in range(slices)
    ]
    path.write_text(json.dumps({"slices": parts}))
    return path


def slices_of(evaluation: str) -> list[Any]:
    return list(model_client().list_model_evaluation_slices(parent=evaluation))


def test_slices_go_up_whatever_their_number_and_once(
    tmp_path: Path, model_folder: Path, unique: str
) -> None:
    version = register(model_folder, unique)
    path = score_file(tmp_path / "scores.json", 120)  # a call takes 50
    name = import_evaluation(version, SCORES, path)
    assert import_evaluation(version, SCORES, path) == name
    found = slices_of(name)
    assert sorted(part.slice_.value for part in found) == sorted(
        f"document {number}.pdf" for number in range(120)
    )
    assert dict(found[0].metrics) == {"chrf_tuned": 40.5, "examples": 9.0}
    spec = next(part.slice_.slice_spec for part in found if part.slice_.value == "document 7.pdf")
    assert spec.configs["document"].value.string_value == "7.pdf"


def test_an_import_that_was_cut_off_goes_on(
    tmp_path: Path, model_folder: Path, unique: str
) -> None:
    version = register(model_folder, unique)
    name = import_evaluation(version, SCORES, score_file(tmp_path / "some.json", 3))
    again = import_evaluation(version, SCORES, score_file(tmp_path / "all.json", 5))
    assert again == name
    assert len(slices_of(name)) == 5


def test_versions_come_with_their_evaluations_the_latest_first(
    tmp_path: Path, model_folder: Path, unique: str
) -> None:
    first = register(model_folder, unique)
    second = register(write_tiny_model(tmp_path / "other", seed=1), unique)
    import_evaluation(first, {**SCORES, "train_set": "gs://b/train"})
    import_evaluation(first, {**SCORES, "perplexity_tuned": 2.25})

    versions = model_versions(unique)

    assert [version.name for version in versions] == [first, second]
    metrics = [dict(one.metrics) for one in versions[0].evaluations]
    assert metrics == [{"perplexity_tuned": 2.25}, {"perplexity_tuned": 2.5}]
    # By the names that were logged, whatever the registry calls them.
    assert versions[0].evaluations[0].texts["predictions"] == "gs://b/p"
    assert versions[1].evaluations == ()
    assert find_version(unique, "candidate") == versions[1]
    assert training_set_of(versions[0]) == "gs://b/train"
    assert training_set_of(versions[1], "here.jsonl") == "here.jsonl"
    with pytest.raises(RegistryError, match="cannot be checked for leaks"):
        training_set_of(versions[1])


def test_what_is_not_there_is_one_plain_line(
    tmp_path: Path, model_folder: Path, unique: str
) -> None:
    with pytest.raises(RegistryError, match="no model is registered as"):
        model_versions(unique)
    version = register(model_folder, unique)
    with pytest.raises(RegistryError, match="has no version 7"):
        find_version(unique, "7")
    (tmp_path / "scores.json").write_text("{}")
    with pytest.raises(RegistryError, match=r"is not a scores\.json"):
        import_evaluation(version, SCORES, tmp_path / "scores.json")
