"""`doctune run --runner docker` over the sample corpus gives what the run on this machine gives."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from doctune.runner import engine
from tests.containers.conftest import IMAGES, Engine
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
def runs(workspace: Workspace, in_containers: Workspace) -> tuple[dict[str, Any], dict[str, Any]]:
    in_containers.doctune("run", "--runner", "docker", "--question", QUESTION)
    workspace.doctune("run", "--question", QUESTION)
    return workspace.last_run, in_containers.last_run


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
    runs: tuple[dict[str, Any], dict[str, Any]], in_containers: Workspace, containers: Engine
) -> None:
    start = (Path(runs[1]["folder"]) / "arguments.json").stat().st_mtime
    events = containers.client.events(
        since=int(start), until=int(time.time()), filters={"event": "create"}, decode=True
    )
    started = {event["Actor"]["Attributes"].get("image") for event in events}
    (server,) = in_containers.folder.glob(".doctune/localvertex/logs/endpoints/*/*.log")

    assert started >= set(IMAGES.values())
    assert '"message": "Uvicorn running on http://0.0.0.0:' in server.read_text()
    left = containers.client.containers.list(all=True, filters={"label": engine.OWNER_LABEL})
    assert left == []


def _without(summary: dict[str, Any], keys: set[str]) -> dict[str, Any]:
    return {key: value for key, value in summary.items() if key not in keys}
