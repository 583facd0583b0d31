"""Environments: how development, staging and production differ from the base configuration.

An environment is a folder under `environments/` beside the two files. It may hold a `config.yaml`
and a `vertex_config.yaml` of its own, with only the keys that differ; mappings are merged, anything
else is replaced. `DOCTUNE_ENVIRONMENT` (`doctune --environment`) chooses one.
"""

import difflib
import os
import re
from pathlib import Path

from doctune.errors import ConfigurationError

VARIABLE = "DOCTUNE_ENVIRONMENT"
FOLDER = "environments"
# For short runs on this machine; never used on Google Cloud.
LAPTOP = "laptop"

_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")


def chosen_environment() -> str:
    """Returns the name of the chosen environment; "" for none."""
    return os.environ.get(VARIABLE, "")


def choose_laptop(config_folder: Path) -> None:
    """Chooses `laptop` for this process, if that environment exists and none is chosen."""
    if not chosen_environment() and LAPTOP in environments(config_folder):
        os.environ[VARIABLE] = LAPTOP


def environments(config_folder: Path) -> list[str]:
    """Returns the names of the environments, sorted."""
    folders = (config_folder / FOLDER).glob("*/")
    return sorted(path.name for path in folders if path.is_dir() and _NAME.fullmatch(path.name))


def layers(file: Path, environment: str) -> list[Path]:
    """Returns the base file, and the environment's file of that name if there is one.

    Raises:
        ConfigurationError: There is no such environment.
    """
    if not environment:
        return [file]
    known = environments(file.parent)
    if environment not in known:
        near = difflib.get_close_matches(environment, known, n=1)
        there = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known) or 'none'}."
        raise ConfigurationError(f"environment {environment!r} is unknown: {there}")
    return [file, *filter(Path.is_file, [overlay(file, environment)])]


def overlay(file: Path, environment: str) -> Path:
    """Returns the path of an environment's file, whether or not it exists.

    Raises:
        ConfigurationError: The name cannot be an environment's.
    """
    if not _NAME.fullmatch(environment):
        raise ConfigurationError(
            f"{environment!r} cannot be an environment's name: use a-z, 0-9 and hyphens."
        )
    return file.parent / FOLDER / environment / file.name
