"""`pip install` inside a job: archives are unpacked beside it, requirements must be there already.

    python -m doctune.localvertex.jobs.pip_shim FOLDER install ...

Other commands of pip are passed on.
"""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from doctune.localvertex.jobs.archives import unpack

_WITH_VALUE = {"-r", "--requirement", "-c", "--constraint", "-i", "--index-url", "--target", "-t"}


def main(arguments: list[str]) -> int:
    """Does what the command line says; returns the exit code."""
    folder, *command = arguments
    if command[:1] != ["install"]:
        return subprocess.run([sys.executable, "-m", "pip", *command], check=False).returncode
    for target in _targets(command[1:]):
        problem = _install(target, Path(folder))
        if problem:
            sys.stderr.write(f"{problem}\n")
            return 1
    return 0


def _targets(arguments: list[str]) -> list[str]:
    targets, skip = [], False
    for argument in arguments:
        if skip:
            skip = False
        elif argument in _WITH_VALUE:
            skip = True
        elif not argument.startswith("-"):
            targets.append(argument)
    return targets


def _install(target: str, folder: Path) -> str:
    """Returns what is wrong; nothing where the package can be imported now."""
    path = Path(target)
    if path.is_file():
        # The folder is on the module path: what was unpacked must lie right in it.
        unpack(path.read_bytes(), path.name, folder)
        return ""
    try:
        requirement = Requirement(target)
        version = importlib.metadata.version(requirement.name)
    except InvalidRequirement:
        return f"{target} is neither a file nor a requirement."
    except importlib.metadata.PackageNotFoundError:
        return f"{target} is not in the environment that stands for this image: install it there."
    if not requirement.specifier.contains(version, prereleases=True):
        return f"{target} is asked for, but the environment has version {version}."
    return ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
