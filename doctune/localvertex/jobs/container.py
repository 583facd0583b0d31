"""What a container would find inside: the /gcs mount and a pip that is its own.

On Vertex, buckets are mounted under /gcs. Here the storage emulator keeps objects as files, so a
path under /gcs in a command line becomes the path of that file, and KFP's executor is led there.

`pip` and `pip3` on the path of a job install nothing into this environment: archives that the job
brings are unpacked beside it, and named requirements must already be there.
"""

import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from doctune.localvertex.jobs import mounted_executor, pip_shim

_MOUNT = re.compile(r"(?<![\w/.-])/gcs/(?=[a-z0-9])")


def mounted(command: Sequence[str], storage: Path) -> list[str]:
    """Returns a command line with paths under /gcs as paths of the emulator's files.

    KFP's executor is led there too, for artifacts whose URI is a gs:// one.

    Args:
        storage: The folder in which the emulator keeps a folder for each bucket.
    """
    executor = f"-m {mounted_executor.__name__} {shlex.quote(str(storage))}"
    return [
        _MOUNT.sub(f"{storage}/", part).replace(f"-m {mounted_executor.EXECUTOR}", executor)
        for part in command
    ]


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
