"""`doctune run --runner docker` over the sample corpus gives what the run on this machine gives."""

import contextlib
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from doctune.runner import engine
from tests.containers.conftest import STEPS, Engine
from tests.e2e.conftest import Workspace, compiled, workspace

pytestmark = pytest.mark.containers

__all__ = ["compiled", "workspace"]  # fixtures

QUESTION = "What is a Nimbrel?"
# Where a run is and how long it took is its own; all else is the same.
OF_A_RUN = {"folder", "report", "parsing_report", "seconds", "step_seconds"}


@pytest.fixture(scope="module")
def in_containers(
    containers: Engine, workspace: Workspace, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Workspace]:
    copy = Workspace(tmp_path_factory.mktemp("containers") / "workspace")
    shutil.copytree(workspace.folder, copy.folder)
    yield copy
    copy.doctune("local", "down", check=False)


@pytest.fixture(scope="module")
def contained_run(containers: Engine, in_containers: Workspace) -> tuple[dict[str, Any], set[str]]:
    """The summary of the run in containers, and the images of the containers that it started."""
    seen: set[str] = set()
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(0.3):
            for container in _ours(containers):
                with contextlib.suppress(docker.errors.NotFound):
                    seen.update(container.image.tags)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        in_containers.doctune("run", "--runner", "docker", "--question", QUESTION)
    finally:
        ended.set()
        watcher.join(30)
    return in_containers.last_run, seen


@pytest.fixture(scope="module")
def runs(
    workspace: Workspace, contained_run: tuple[dict[str, Any], set[str]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    workspace.doctune("run", "--question", QUESTION)
    return workspace.last_run, contained_run[0]


@pytest.mark.timeout(1800)
def test_the_summary_is_the_same(runs: tuple[dict[str, Any], dict[str, Any]]) -> None:
    here, contained = runs

    assert contained["passed"] is True
    assert contained["answer_tuned"]
    assert _without(contained, OF_A_RUN) == _without(here, OF_A_RUN)
    assert set(contained["step_seconds"]) == set(here["step_seconds"])


def test_the_data_and_the_model_are_the_same(
    runs: tuple[dict[str, Any], dict[str, Any]], workspace: Workspace, in_containers: Workspace
) -> None:
    def files(folder: Path, *names: str) -> dict[str, bytes]:
        root = folder / ".doctune/pipeline_root"
        found = [path for name in names for path in sorted(root.glob(f"*/{name}"))]
        assert len(found) == len(names)
        return {path.name: path.read_bytes() for path in found}

    names = (
        *("prepare-dataset/train_set", "prepare-dataset/test_set", "prepare-dataset/manifest"),
        "tune-model/model/model/model.safetensors",
    )
    assert files(in_containers.folder, *names) == files(workspace.folder, *names)


def test_the_steps_and_the_server_ran_in_containers(
    contained_run: tuple[dict[str, Any], set[str]], in_containers: Workspace, containers: Engine
) -> None:
    (server,) = in_containers.folder.glob(".doctune/localvertex/logs/endpoints/*/*.log")

    assert contained_run[1] == set(STEPS.values())
    assert '"message": "Uvicorn running on http://0.0.0.0:' in server.read_text()
    assert _ours(containers) == []


def _ours(containers: Engine) -> list[Any]:
    # Other containers may go while they are listed.
    return containers.client.containers.list(
        all=True, filters={"label": engine.OWNER_LABEL}, ignore_removed=True
    )


def _without(summary: dict[str, Any], keys: set[str]) -> dict[str, Any]:
    return {key: value for key, value in summary.items() if key not in keys}
