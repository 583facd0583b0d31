"""`pip install` in a notebook: installs missing packages into the kernel's environment.

Installed packages keep their version, although notebooks request the newest of everything.
"""

import importlib
import importlib.metadata
import re
import shlex
import subprocess
import sys

from packaging.requirements import InvalidRequirement, Requirement

INSTALL = re.compile(r"(?:^|[\s;&|(/])(?:pip3?|conda|mamba)\s+(?:-\S+\s+)*(?:un)?install\b")

_WITH_VALUE = frozenset(
    {"-r", "--requirement", "-c", "--constraint", "-i", "--index-url", "--extra-index-url", "-f"}
    | {"--find-links", "-t", "--target", "--progress-bar", "-e"}
)
_SECONDS = 1200


def install_missing(command: str) -> str:
    """Installs the missing packages of a command; returns those that were skipped."""
    missing = [requirement for requirement in _requirements(command) if not _is_there(requirement)]
    names = [str(requirement) for requirement in missing]
    if not missing:
        return command
    # If an old pinned version has no build for this Python, the newest version is tried.
    for wanted in (names, [requirement.name for requirement in missing]):
        done = subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", *wanted],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        if done.returncode == 0:
            importlib.invalidate_caches()
            return f"{command} (installed: {', '.join(wanted)})"
    said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or [""]
    return f"{command} ({', '.join(names)} cannot be installed: {said[-1]})"


def _requirements(command: str) -> list[Requirement]:
    try:
        words = shlex.split(command)
    except ValueError:
        return []
    if "install" not in words or "uninstall" in words:
        return []
    found, skip = [], False
    for word in words[words.index("install") + 1 :]:
        if word in ("&&", ";", "|", "||"):
            break
        if skip or word.startswith("-") or word in ("2>", ">", "2>&1") or "/" in word:
            skip = word in _WITH_VALUE
            continue
        try:
            found.append(Requirement(word))
        except InvalidRequirement:
            continue
    return found


def _is_there(requirement: Requirement) -> bool:
    try:
        importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
