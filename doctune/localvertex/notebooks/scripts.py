"""The command-line tools of Google Cloud as scripts in a folder, for the path of what runs here.

The real ones would ask Google's servers, which nothing here reaches, for minutes.
"""

import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

from doctune.files import write_text

_COMMANDS = "doctune.localvertex.notebooks.commands"
_TRANSLATED = ("gsutil", "gcloud")
_GOOGLES = (*_TRANSLATED, "bq")
_LEFT_OUT = ("docker", "kubectl", "apt", "apt-get", "sudo", "conda", "mamba", "pip", "pip3")


def write_job_scripts(folder: Path) -> None:
    """Writes the tools that jobs, steps and serving programs find before the machine's own."""
    _write(folder, _GOOGLES)


def write_notebook_scripts(folder: Path) -> None:
    """Writes the tools of a notebook's shell cells, also those that are shown and not run."""
    _write(folder, (*_GOOGLES, *_LEFT_OUT))


def _write(folder: Path, names: Iterable[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        module = f"{_COMMANDS}.{name if name in _TRANSLATED else 'left_out'}"
        line = shlex.join([sys.executable, "-m", module])
        mark = "" if name in _TRANSLATED else f" {shlex.quote(name)}"
        script = folder / name
        write_text(script, f'#!/bin/sh\nexec {line}{mark} "$@"\n')
        script.chmod(0o755)
