"""Runs doctune's command with the packages of an image alone: others cannot be imported.

They are those of its lock, less what `unused.txt` beside it leaves out.

python only_locked.py REQUIREMENTS ARGUMENT...
"""

import importlib.metadata
import re
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


class OnlyLocked(MetaPathFinder):
    """Refuses modules of packages that the image does not hold."""

    def __init__(self, requirements: Path) -> None:
        held = re.findall(r"^([A-Za-z0-9][\w.-]*)==", requirements.read_text(), re.MULTILINE)
        self._held = {_plain(name) for name in held} | {"doctune", "pip", "setuptools"}
        self._owners = importlib.metadata.packages_distributions()
        left_out = requirements.with_name("unused.txt").read_text().splitlines()
        self._left_out = {line.replace("/", ".") for line in left_out if re.match(r"[\w/]+$", line)}

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name in self._left_out:
            raise ModuleNotFoundError(f"the image leaves out {name}", name=name)
        owners = self._owners.get(name.partition(".")[0])
        if owners and not self._held & {_plain(owner) for owner in owners}:
            raise ModuleNotFoundError(f"the image holds no {owners[0]}", name=name)


if __name__ == "__main__":
    sys.meta_path.insert(0, OnlyLocked(Path(sys.argv[1])))
    sys.argv[:2] = ["doctune"]
    from doctune.cli.app import main

    main()
