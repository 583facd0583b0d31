"""Environments: what development, staging and production change of the configuration.

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
# Short runs on this machine; never what runs on Google Cloud.
LAPTOP = "laptop"

_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")


def chosen_environment() -> str:
    """Returns the name of the chosen environment; "" for none."""
    return os.environ.get(VARIABLE, "")


def choose_laptop(config_folder: Path) -> None:
    """Chooses `laptop` for this process, if no environment is chosen and there is one so called."""
    if not chosen_environment() and LAPTOP in environments(config_folder):
        os.environ[VARIABLE] = LAPTOP


def environments(config_folder: Path) -> list[str]:
    """Returns the names of the environments, sorted."""
    folders = (config_folder / FOLDER).glob("*/")
    return sorted(path.name for path in folders if path.is_dir() and _NAME.fullmatch(path.name))


def layers(file: Path, environment: str) -> list[Path]:
    """Returns the file and what the environment lays over it, where it does.

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
    """Returns where an environment's part of a file is, whether or not it is there.

    Raises:
        ConfigurationError: The name cannot be an environment's.
    """
    if not _NAME.fullmatch(environment):
        raise ConfigurationError(
            f"{environment!r} cannot be an environment's name: use a-z, 0-9 and hyphens."
        )
    return file.parent / FOLDER / environment / file.name
