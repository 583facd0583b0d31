"""Stands in for a command that is not run: its name is the first argument.

pip is the exception: what does not install is run.
"""

import shlex
import subprocess
import sys

from doctune.localvertex.notebooks.skips import skip_here

_CHANGES = ("install", "uninstall", "download")


def main(arguments: list[str]) -> int:
    """Displays and records the command; returns the exit code."""
    name, *rest = arguments
    if name in ("pip", "pip3") and not set(_CHANGES) & set(rest):
        return subprocess.run([sys.executable, "-m", "pip", *rest], check=False).returncode
    return skip_here(shlex.join(arguments))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
