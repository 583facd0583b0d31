"""A project folder with a small pipeline, and the command run in it as a user would."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

SPEC = Path("dist/pipelines/greetings.yaml")


@dataclass(frozen=True)
class Project:
    """A folder in which `doctune` is run."""

    folder: Path

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "doctune", *arguments],
            cwd=self.folder,
            env={**os.environ, "COLUMNS": "200", "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def json(self, *arguments: str) -> Any:
        """Runs a command that must succeed and print JSON."""
        done = self(*arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="package")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project whose local Vertex AI runs, and ends with the tests."""
    folder = tmp_path_factory.mktemp("project")
    _write_config(folder)
    _compile_greetings(folder / SPEC)
    project = Project(folder)
    started = project("local", "up")
    assert started.returncode == 0, started.stderr
    yield project
    project("local", "down")


def _write_config(folder: Path) -> None:
    (folder / "config").mkdir()
    settings = {"question": "What is it?", "model_name": "greeter", "pdfs": "pdfs"}
    vertex = {
        "project": "doctune-local",
        "staging_bucket": "gs://doctune-local",
        "images": {"prefix": "us-central1-docker.pkg.dev/doctune-local/doctune", "tag": "dev"},
        "endpoint": {"name": "greeter"},
        "runs": {"labels": {"team": "docs"}},
    }
    (folder / "config/config.yaml").write_text(yaml.safe_dump(settings))
    (folder / "config/vertex_config.yaml").write_text(yaml.safe_dump(vertex))


def _compile_greetings(path: Path) -> None:
    from kfp import compiler, dsl

    @dsl.component(base_image="python:3.11", install_kfp_package=False)
    def greet(name: str, times: int) -> str:
        import sys

        if not name:
            raise ValueError("nobody is there to be greeted")
        greeting = " ".join([f"Hello {name}."] * times)
        sys.stdout.write(greeting)
        return greeting

    @dsl.pipeline(name="greetings")
    def pipeline(name: str, model_name: str, times: int = 1) -> None:
        greet(name=name, times=times).set_caching_options(False)

    path.parent.mkdir(parents=True)
    compiler.Compiler().compile(pipeline, str(path))
