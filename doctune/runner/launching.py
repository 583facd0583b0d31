"""Runs a step's program on this machine, in an overlay environment and with the buckets under /gcs.

A lightweight Python component runs regardless of its base image. The command of another container
runs only if `local.programs` of the configuration lists its image. GCPC's image is replaced by this
environment.
"""

import fnmatch
import os
import re
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from doctune.errors import ProgramError, TimeLimitError
from doctune.runner.gcs_mount import mounting
from doctune.runner.google_launcher import paced
from doctune.runner.overlay import OverlayError, overlay_environment, step_overlay
from doctune.runner.payloads import spelled_for_launchers
from doctune.runner.programs import framework_variables, resolve_program
from doctune.runner.steps import Launched

GCPC_IMAGES = "*/google-cloud-pipeline-components:*"

_EXECUTOR = "kfp.dsl.executor_main"
_CONTAINERIZED = ["python3", "-m", _EXECUTOR]
_TAIL_LINES = 200
# The line with which Python reports an exception; Google's exceptions lack "Error" in their names.
_ERROR = re.compile(
    r"^\s*((?:\w+\.)*\w*(?:Error|Exception|Interrupt|Exit)|(?:[a-z_]\w*\.)+[A-Z]\w+): (.+)$"
)
_PIP_ERROR = re.compile(r"^ERROR: (.+)$")


@dataclass(frozen=True)
class LocalPrograms:
    """The local programs that replace the container images of a run.

    Attributes:
        programs: Maps image patterns to command lines.
        storage: The folder in which the storage emulator keeps a folder for each bucket.
        overlays: Where the environments of steps are kept.
        refuse_folder_renames: See `gcs_mount.mounting`.
    """

    programs: Mapping[str, Sequence[str]]
    storage: Path
    overlays: Path
    refuse_folder_renames: bool = False

    def __call__(
        self,
        image: str,
        command: Sequence[str],
        arguments: Sequence[str],
        variables: Mapping[str, str],
    ) -> Launched:
        """Runs a command to completion; its output is copied to this process's output."""
        try:
            line = self._line(image, command, arguments)
            environment = {**os.environ, **framework_variables(image), **variables}
            with step_overlay(self.overlays, line, environment) as overlay:
                return self._run(line, overlay_environment(environment, overlay))
        except (ProgramError, OverlayError, TimeLimitError) as error:
            sys.stdout.write(f"LocalVertexError: {error}\n")
            return Launched(1, f"LocalVertexError: {error}")

    def _line(self, image: str, command: Sequence[str], arguments: Sequence[str]) -> list[str]:
        if is_python_component(command):
            return [*command, *arguments]
        if fnmatch.fnmatchcase(image, GCPC_IMAGES):
            command, arguments = paced(command), spelled_for_launchers(arguments)
        programs = {**self.programs, GCPC_IMAGES: []}
        return resolve_program(image, programs, command=command, arguments=arguments)

    def _run(self, line: Sequence[str], environment: Mapping[str, str]) -> Launched:
        beginning = mounting(self.storage, refuse_folder_renames=self.refuse_folder_renames)
        tail: deque[str] = deque(maxlen=_TAIL_LINES)
        with subprocess.Popen(
            [*beginning, *line],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            bufsize=1,
        ) as process:
            for text in process.stdout or ():
                sys.stdout.write(text)
                sys.stdout.flush()
                tail.append(text.rstrip())
            code = process.wait()
        return Launched(code, "" if code == 0 else _reason(code, tail))


def is_python_component(command: Sequence[str]) -> bool:
    """Whether a command is that of a lightweight Python component, which contains its source."""
    return list(command[:3]) != _CONTAINERIZED and any(_EXECUTOR in part for part in command)


def _reason(code: int, tail: Sequence[str]) -> str:
    """Returns the last line that looks like an error, or else how the program ended."""
    for line in reversed(tail):
        if match := _ERROR.match(line):
            return f"{match[1]}: {match[2]}"
    for line in reversed(tail):
        if match := _PIP_ERROR.match(line):
            return match[1]
    how = f"was ended by signal {-code}" if code < 0 else f"exited with status {code}"
    last = next((line.strip() for line in reversed(tail) if line.strip()), "")
    return f"{how}: {last}" if last else how
