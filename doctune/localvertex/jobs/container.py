"""What a job finds inside its container: a pip that is its own.

`pip` and `pip3` on the path of a job install nothing into this environment: archives that the job
brings are unpacked beside it, and named requirements must already be there.
"""

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from doctune.localvertex.jobs import pip_shim


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
