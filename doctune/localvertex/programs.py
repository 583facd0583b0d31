"""What runs on this machine for a container image."""

import fnmatch
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from doctune.localvertex.api.errors import precondition

_EXCEPTION = re.compile(r"^\s*((?:\w+\.)*\w*(?:Error|Exception|Interrupt|Exit)): (.+)$")
_VARIABLE = re.compile(r"\$(\$|\(([A-Za-z_][\w.-]*)\))")


def resolve_program(
    image: str,
    programs: Mapping[str, Sequence[str]],
    *,
    command: Sequence[str] = (),
    arguments: Sequence[str] = (),
) -> list[str]:
    """Returns the command line for a container, as the container engine would put it together.

    The image's entry in the table takes the place of its entry point; the container's own command
    replaces it, its arguments follow.

    Raises:
        ApiError: FAILED_PRECONDITION where no entry matches the image, saying how to add one.
    """
    matching = [
        program for pattern, program in programs.items() if fnmatch.fnmatchcase(image, pattern)
    ]
    if not matching:
        raise precondition(
            f"No program on this machine stands for the image {image!r}: add an entry to "
            "local.programs in vertex_config.yaml, such as "
            f'"{image}": ["{{python}}", "-m", "your_server"].'
        )
    entry = [part.replace("{python}", sys.executable) for part in matching[0]]
    if command:
        return [*command, *arguments]
    if not entry:
        raise precondition(
            f"The image {image!r} stands for an environment only (its entry in local.programs is "
            "empty), and the container has no command of its own."
        )
    return [*entry, *arguments]


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


def last_error(path: Path) -> str:
    """Returns the last line of a log that reads as an exception, or else its last lines."""
    text = last_lines(path, 200)
    for line in reversed(text.splitlines()):
        if match := _EXCEPTION.match(line):
            return f"{match[1]}: {match[2]}"
    return last_lines(path)


def last_lines(path: Path, count: int = 15) -> str:
    """Returns the end of a log file, for an error that says why a program died."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 16384))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.rstrip().splitlines()[-count:])
