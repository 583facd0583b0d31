"""Container components and mounted buckets in a run: what stands for an image and for /gcs."""

from pathlib import Path
from typing import Any

import pytest
from kfp import compiler, dsl

from doctune.configuration.vertex_sections import LocalSettings
from doctune.errors import PipelineError
from doctune.runner.run import RunResult, run_pipeline
from tests.runner.conftest import Recorder

_SHOUT = 'mkdir -p "$(dirname "$1")" && printf %s "$0" | tr a-z A-Z > "$1"'


@dsl.container_component
def shout(text: str, said: dsl.OutputPath(str)) -> dsl.ContainerSpec:
    return dsl.ContainerSpec(
        image="example.com/tools:1", command=["sh", "-c", _SHOUT], args=[text, said]
    )


@dsl.component(base_image="example/python:1", install_kfp_package=False)
def read(note: dsl.Input[dsl.Dataset]) -> str:
    from pathlib import Path

    return f"{note.uri}: {Path(note.path).read_text()}"


@dsl.pipeline(name="shouting")
def shouting() -> None:
    shout(text="hello")


@dsl.pipeline(name="reading")
def reading() -> None:
    note = dsl.importer(artifact_uri="gs://bucket/a/note.txt", artifact_class=dsl.Dataset)
    read(note=note.output)


def _run(
    pipeline: Any, folder: Path, environment: dict[str, str], local: LocalSettings
) -> RunResult:
    spec = folder / "spec.yaml"
    compiler.Compiler().compile(pipeline, str(spec))
    return run_pipeline(
        spec, {}, root=folder, environment=environment, watcher=Recorder(), local=local
    )


def test_a_container_component_runs_its_command_here(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    result = _run(shouting, tmp_path, environment, LocalSettings(programs={"*/tools:*": []}))

    assert result.outputs("shout")["said"] == "HELLO"


def test_an_image_that_nothing_stands_for_is_named(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    with pytest.raises(PipelineError, match=r"The image 'example.com/tools:1' is not mapped"):
        _run(shouting, tmp_path, environment, LocalSettings())


def test_a_step_finds_an_object_under_its_path(tmp_path: Path, environment: dict[str, str]) -> None:
    local = LocalSettings(state_dir=tmp_path / "state")
    note = tmp_path / "state/storage/bucket/a/note.txt"
    note.parent.mkdir(parents=True)
    note.write_text("remember")

    result = _run(reading, tmp_path, environment, local)

    assert result.outputs("read")["Output"] == "gs://bucket/a/note.txt: remember"
