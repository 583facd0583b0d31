"""Commands of a notebook that are not run here, noted by whoever meets them."""

import os
import re
import sys
from pathlib import Path

# Where commands that stand for gcloud and the like note what they leave out.
SKIPS_VARIABLE = "LOCALVERTEX_NOTEBOOK_SKIPS"

_PUBLISHED = re.compile(r"(?:-p|--publish)[ =](?:[\d.]+:)?(\d+):\d+")
_LOCAL_ADDRESS = re.compile(r"\b(?:localhost|127\.0\.0\.1|0\.0\.0\.0):(\d+)")


def add_skip(path: Path, command: str) -> None:
    """Notes a command, in one line."""
    with path.open("a", encoding="utf-8") as file:
        file.write(" ".join(command.split())[:200] + "\n")


def skip_here(command: str) -> int:
    """Notes a command where a notebook runs, and says so where anybody sees it.

    Returns:
        The command's exit code: in a job or step, where nobody reads the note, it has failed.
    """
    path = os.environ.get(SKIPS_VARIABLE)
    if not path:
        sys.stderr.write(f"ERROR: localvertex does not do this command: {command}\n")
        return 1
    add_skip(Path(path), command)
    print(f"[not run here] {command}", flush=True)  # noqa: T201 the command's own output
    return 0


def container_ports(skipped: str) -> set[str]:
    """Returns the ports of this machine at which a `docker run` that was left out would answer."""
    if not re.search(r"\bdocker\s+(?:container\s+)?run\b", skipped):
        return set()
    return {match[1] for match in _PUBLISHED.finditer(skipped)}


def asks_container(command: str, ports: set[str]) -> bool:
    """Whether a command asks one of these ports of this machine."""
    return any(match[1] in ports for match in _LOCAL_ADDRESS.finditer(command))


def take_skips(path: Path) -> list[str]:
    """Returns what has been noted, and forgets it."""
    if not path.is_file():
        return []
    noted = path.read_text(encoding="utf-8").split("\n")
    path.unlink()
    return [line for line in noted if line]
