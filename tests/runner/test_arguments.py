"""Every setting reaches the pipeline: by name, or in its stage's `advanced` parameter."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from doctune.configuration.serving import ServingSettings
from doctune.configuration.settings import Settings, VertexSettings
from doctune.errors import UsageError
from doctune.runner.arguments import pipeline_arguments
from doctune.vertex.specs import read_signature

VERTEX = VertexSettings(
    project="my-project",
    staging_bucket="gs://bucket",
    images={"prefix": "example/doctune", "tag": "abc"},
    endpoint={"name": "handbook"},
)


def _arguments(
    settings: Settings, *declared: str, vertex: VertexSettings = VERTEX
) -> dict[str, Any]:
    return pipeline_arguments(
        settings,
        vertex,
        declared,
        pdfs="/pdfs",
        corpus_digest="abc",
        question="Why?",
    )


def test_a_setting_that_the_pipeline_declares_goes_by_name() -> None:
    settings = Settings(question="?", model_name="m", training={"learning_rate": 0.5})

    arguments = _arguments(settings, "learning_rate", "training_advanced", "pdfs")

    assert arguments == {"learning_rate": 0.5, "training_advanced": {}, "pdfs": "/pdfs"}


def test_any_other_setting_goes_into_the_stages_advanced_parameter() -> None:
    settings = Settings(question="?", model_name="m", training={"weight_decay": 0.25})

    arguments = _arguments(settings, "training_advanced")

    assert arguments == {"training_advanced": {"weight_decay": 0.25}}


def test_the_engine_that_serves_is_the_one_that_is_judged() -> None:
    settings = Settings(question="?", model_name="m")
    by_openvino = VERTEX.model_copy(update={"serving": ServingSettings(engine="openvino")})

    by_native = VERTEX.model_copy(update={"serving": ServingSettings(engine="native")})

    for vertex, expected in (
        (VERTEX, {"engine": "auto"}),
        (by_openvino, {"engine": "openvino"}),
        (by_native, {}),
    ):
        given = _arguments(settings, "evaluation_advanced", vertex=vertex)
        assert given == {"evaluation_advanced": expected}


def test_a_secret_never_becomes_a_parameter() -> None:
    settings = Settings(question="?", model_name="m", documents={"password": "open sesame"})

    assert _arguments(settings, "documents_advanced", "password") == {"documents_advanced": {}}


def test_a_reference_to_a_secret_becomes_a_parameter() -> None:
    reference = "projects/my-project/secrets/pdf-password/versions/latest"
    settings = Settings(question="?", model_name="m", documents={"password_secret": reference})

    assert _arguments(settings, "documents_advanced") == {
        "documents_advanced": {"password_secret": reference}
    }


def test_a_file_that_is_no_pipeline_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(yaml.safe_dump({"hello": 1}))

    with pytest.raises(UsageError, match="compile it again"):
        read_signature(path)


@pytest.mark.parametrize(
    ("model_name", "pdfs", "name"),
    [
        ("", "/home/me/Pump Manuals 2031", "pump-manuals-2031"),
        ("", "samples/pdfs", "samples"),
        ("", "gs://bucket/filings/2024/", "2024"),
        ("", "/data/pdfs", "documents"),
        ("handbook", "/home/me/manuals", "handbook"),
    ],
)
def test_a_model_is_named_after_its_folder_unless_it_has_a_name(
    model_name: str, pdfs: str, name: str
) -> None:
    """A champion of other documents is no champion."""
    settings = Settings(question="What?", model_name=model_name)
    assert settings.registry_name(pdfs) == name
