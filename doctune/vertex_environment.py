"""The environment that Vertex AI gives a program: its variables, and buckets mounted under /gcs.

Only this module reads them, so that the stages know only paths and torch's own variables.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from doctune.errors import TrainingError

_MOUNT = Path("/gcs")
_POOLS = ("workerpool0", "workerpool1")


def mounted_path(uri: str) -> Path | None:
    """Returns the path at which Cloud Storage FUSE mounts a gs:// URI.

    Returns:
        The path, whether or not it exists; None where the URI is not a gs:// one or its bucket is
        not mounted.
    """
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    if not uri.startswith("gs://") or not bucket or not (_MOUNT / bucket).is_dir():
        return None
    return _MOUNT / bucket / name


def checkpoint_folder() -> str:
    """Returns the folder that Vertex AI gives a job for its checkpoints; "" outside of one."""
    return os.environ.get("AIP_CHECKPOINT_DIR", "")


def tensorboard_folder() -> str:
    """Returns the folder that Vertex AI gives a job for TensorBoard's events; "" outside of one."""
    return os.environ.get("AIP_TENSORBOARD_LOG_DIR", "")


def rendezvous(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns torch's `RANK`, `WORLD_SIZE`, `MASTER_ADDR` and `MASTER_PORT`, or an empty dict.

    Where torchrun or the platform set them, they are returned. Otherwise they come from Vertex AI's
    `CLUSTER_SPEC`: ranks go to `workerpool0` (the master) and `workerpool1` (the rest), in order.

    Raises:
        TrainingError: `CLUSTER_SPEC` is malformed, or this task is not a worker.
    """
    names = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    if all(environment.get(name) for name in names):
        return {name: environment[name] for name in names}
    if not environment.get("CLUSTER_SPEC"):
        return {}
    try:
        specification = json.loads(environment["CLUSTER_SPEC"])
        pools = {name: specification["cluster"].get(name, []) for name in _POOLS}
        task = specification["task"]
        pool, index = str(task["type"]), int(task["index"])
        master, _, port = str(pools["workerpool0"][0]).partition(":")
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise TrainingError(
            f"CLUSTER_SPEC is not what Vertex AI sets ({type(error).__name__}: {error})."
        ) from error
    if pool not in pools or index >= len(pools[pool]):
        raise TrainingError(
            f"CLUSTER_SPEC makes this task {pool} {index}; doctune trains in workerpool0 and "
            "workerpool1 only."
        )
    rank = index + (len(pools["workerpool0"]) if pool == "workerpool1" else 0)
    return {
        "RANK": str(rank),
        "WORLD_SIZE": str(sum(len(hosts) for hosts in pools.values())),
        "MASTER_ADDR": environment.get("MASTER_ADDR") or master,
        "MASTER_PORT": environment.get("MASTER_PORT") or port or "2222",
    }
