"""What Vertex AI tells a program: other workers, mounted buckets, folders."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from doctune import vertex_environment
from doctune.errors import TrainingError
from doctune.vertex_environment import (
    checkpoint_folder,
    mounted_path,
    rendezvous,
    tensorboard_folder,
)


def test_a_gs_uri_of_a_mounted_bucket_is_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vertex_environment, "_MOUNT", tmp_path)
    (tmp_path / "bucket").mkdir()

    assert mounted_path("gs://bucket/a/new/folder") == tmp_path / "bucket/a/new/folder"
    assert mounted_path("gs://bucket") == tmp_path / "bucket"


@pytest.mark.parametrize("uri", ["gs://other/a", "gs://", "/bucket/a", "s3://bucket/a", ""])
def test_what_is_not_mounted_has_no_path(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vertex_environment, "_MOUNT", tmp_path)
    (tmp_path / "bucket").mkdir()

    assert mounted_path(uri) is None


def test_folders_are_those_that_the_job_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AIP_CHECKPOINT_DIR", "AIP_TENSORBOARD_LOG_DIR"):
        monkeypatch.delenv(name, raising=False)
    assert (checkpoint_folder(), tensorboard_folder()) == ("", "")

    monkeypatch.setenv("AIP_CHECKPOINT_DIR", "gs://b/checkpoints")
    monkeypatch.setenv("AIP_TENSORBOARD_LOG_DIR", "gs://b/logs")
    assert (checkpoint_folder(), tensorboard_folder()) == ("gs://b/checkpoints", "gs://b/logs")


def test_cluster_spec_gives_rank_and_master() -> None:
    pools = {
        "workerpool0": ["cmle-training-workerpool0-ab-0:2222"],
        "workerpool1": [
            "cmle-training-workerpool1-ab-0:2222",
            "cmle-training-workerpool1-ab-1:2222",
        ],
    }
    spec = {"cluster": pools, "task": {"type": "workerpool1", "index": 1, "trial": "t"}}
    assert rendezvous({"CLUSTER_SPEC": json.dumps(spec)}) == {
        "RANK": "2",
        "WORLD_SIZE": "3",
        "MASTER_ADDR": "cmle-training-workerpool0-ab-0",
        "MASTER_PORT": "2222",
    }
    assert rendezvous({}) == {}
    torchrun = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "h", "MASTER_PORT": "7"}
    assert rendezvous({**torchrun, "CLUSTER_SPEC": json.dumps(spec)}) == torchrun


@pytest.mark.parametrize(
    "spoil",
    [
        lambda spec: "{",
        lambda spec: json.dumps({}),
        lambda spec: json.dumps({**spec, "task": {"type": "workerpool2", "index": 0}}),
        lambda spec: json.dumps({**spec, "task": {"type": "workerpool0", "index": 5}}),
        lambda spec: json.dumps({**spec, "cluster": {}}),
    ],
)
def test_a_wrong_cluster_spec_is_one_clear_line(spoil: Callable[[dict[str, Any]], str]) -> None:
    spec = {"cluster": {"workerpool0": ["h:1"]}, "task": {"type": "workerpool0", "index": 0}}
    with pytest.raises(TrainingError, match="CLUSTER_SPEC") as caught:
        rendezvous({"CLUSTER_SPEC": spoil(spec)})
    assert "\n" not in str(caught.value)
