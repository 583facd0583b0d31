"""What runs on this machine for a container image."""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from doctune.errors import ProgramError
from doctune.localvertex.api.errors import precondition
from doctune.runner import programs as runner_programs

_VARIABLE = re.compile(r"\$(\$|\(([A-Za-z_][\w.-]*)\))")


def resolve_program(
    image: str,
    programs: Mapping[str, Sequence[str]],
    *,
    command: Sequence[str] = (),
    arguments: Sequence[str] = (),
) -> list[str]:
    """Returns the command line for a container: `doctune.runner.programs.resolve_program`.

    Raises:
        ApiError: FAILED_PRECONDITION: no program stands for the image.
    """
    try:
        return runner_programs.resolve_program(
            image, programs, command=command, arguments=arguments
        )
    except ProgramError as error:
        raise precondition(str(error)) from error


def container_environment(base: Mapping[str, str], variables: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment of a program: this one's, the container's, this interpreter first.

    `python` in a container's command is then the interpreter that has doctune installed.
    """
    environment = {**os.environ, **base, **variables}
    folder = str(Path(sys.executable).parent)
    path = environment.get("PATH", os.defpath)
    if path.split(os.pathsep)[0] != folder:
        environment["PATH"] = f"{folder}{os.pathsep}{path}"
    environment["PYTHONUNBUFFERED"] = "1"
    return environment


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replaces $(NAME) by a variable, as Kubernetes does: unknown ones stay, $$ is a dollar."""

    def value(match: re.Match[str]) -> str:
        return "$" if match[1] == "$" else variables.get(match[2], match[0])

    return _VARIABLE.sub(value, text)


def last_lines(path: Path, count: int = 15) -> str:
    """Returns the end of a log file, for an error that says why a program died."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 16384))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.rstrip().splitlines()[-count:])
