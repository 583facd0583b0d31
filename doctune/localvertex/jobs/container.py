"""What a container would find inside: the /gcs mount and a pip that is its own.

On Vertex, buckets are mounted under /gcs. Here the storage emulator keeps objects as files, so a
path under /gcs in a command line becomes the path of that file, and KFP's executor is told the
local path of each artifact (`customPath`).

`pip` and `pip3` on the path of a job install nothing into this environment: archives that the job
brings are unpacked beside it, and named requirements must already be there.
"""

import json
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from doctune.localvertex.jobs import pip_shim

_MOUNT = re.compile(r"(?<![\w/.-])/gcs/(?=[a-z0-9])")
_EXECUTOR_INPUT = "--executor_input"


def mounted(command: Sequence[str], storage: Path) -> list[str]:
    """Returns a command line with paths under /gcs as paths of the emulator's files.

    Args:
        storage: The folder in which the emulator keeps a folder for each bucket.
    """
    command = list(command)
    for at, part in enumerate(command):
        if at and command[at - 1] == _EXECUTOR_INPUT:
            part = _with_local_paths(part, storage)
        command[at] = _MOUNT.sub(f"{storage}/", part)
    return command


def _with_local_paths(text: str, storage: Path) -> str:
    try:
        executor_input = json.loads(text)
    except ValueError:
        return text
    for side in ("inputs", "outputs"):
        for artifacts in executor_input.get(side, {}).get("artifacts", {}).values():
            for artifact in artifacts.get("artifacts", []):
                _set_local_path(artifact, storage)
    return json.dumps(executor_input)


def _set_local_path(artifact: dict[str, Any], storage: Path) -> None:
    uri = artifact.get("uri", "")
    if uri.startswith("gs://") and not artifact.get("customPath"):
        path = storage / uri.removeprefix("gs://")
        artifact["customPath"] = str(path)
        path.parent.mkdir(parents=True, exist_ok=True)


def job_environment(environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Returns the environment of a job with its own pip and a folder for what that unpacks."""
    packages = folder / "packages"
    binaries = folder / "bin"
    binaries.mkdir(parents=True, exist_ok=True)
    for name in ("pip", "pip3"):
        script = binaries / name
        command = shlex.join([sys.executable, "-m", pip_shim.__name__, str(packages)])
        script.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
        script.chmod(0o755)
    search = [str(packages), *filter(None, [environment.get("PYTHONPATH", "")])]
    return {
        **environment,
        "PATH": f"{binaries}:{environment['PATH']}",
        "PYTHONPATH": ":".join(search),
        # For `python -m pip`, which no script on the path can stand for.
        "PIP_TARGET": str(packages),
    }
