"""Reads and checks a configuration file, with one line of error for whatever is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from doctune.errors import ConfigurationError
from doctune.validation import first_problem

_M = TypeVar("_M", bound=BaseModel)


def read_yaml_file(path: Path) -> dict[str, Any]:
    """Returns the keys and values of a YAML file; an empty file has none.

    Raises:
        ConfigurationError: The file cannot be read, is not YAML, or holds no keys.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path} holds no keys: write them as `key: value`.")
    return values


def check_keys(model: type[_M], values: Mapping[str, Any], source: object) -> _M:
    """Returns values as a model.

    Args:
        source: The file or parameter that holds them, for the message.

    Raises:
        ConfigurationError: A key is unknown, or a value is wrong; the message names the first.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigurationError(f"{source}: {first_problem(error)}.") from error
