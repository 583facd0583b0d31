"""Export, import and compare configurations."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from doctune.configuration.environments import chosen_environment, overlay
from doctune.configuration.settings import (
    CONFIG_FILE,
    VERTEX_CONFIG_FILE,
    Settings,
    VertexSettings,
    check_values,
    config_folder,
    load_settings,
    load_vertex_settings,
)
from doctune.errors import ConfigurationError, UsageError
from doctune.files import write_text

BASE = "base"  # names the two files without any environment

Values = dict[str, Any]

_FILES = {"config": CONFIG_FILE, "vertex_config": VERTEX_CONFIG_FILE}
_ABSENT = object()


@dataclass(frozen=True)
class Difference:
    """A key that two configurations set differently; None where one has no such key."""

    key: str
    first: Any
    second: Any

    def __str__(self) -> str:
        return f"{self.key}: {json.dumps(self.first)} -> {json.dumps(self.second)}"


def settings_in_force(environment: str | None = None) -> Values:
    """Returns every effective setting by name, without secrets.

    Args:
        environment: None for the chosen one, "" for none.

    Raises:
        ConfigurationError: The configuration is not valid.
    """
    return {
        "config": _values(load_settings(environment=environment)),
        "vertex_config": _values(load_vertex_settings(environment=environment)),
    }


def export_settings() -> str:
    """Returns all effective settings as YAML that `import_settings` reads."""
    return yaml.safe_dump(settings_in_force(), sort_keys=False, allow_unicode=True)


def import_settings(source: Path, *, overwrite: bool = False) -> list[Path]:
    """Writes an exported configuration into the configuration folder.

    With an environment chosen, what differs from the base becomes that environment's; else the
    base files are written.

    Args:
        overwrite: Whether existing files may be replaced; their comments are lost.

    Returns:
        The files written.

    Raises:
        ConfigurationError: The file is no exported configuration, or what it says is not valid.
        UsageError: A file exists already.
    """
    exported = read_exported(source)
    environment = chosen_environment()
    base = settings_in_force("") if environment else {}
    contents: dict[Path, str] = {}
    for name, file_name in _FILES.items():
        path, values = config_folder() / file_name, exported[name]
        if environment:
            path, values = overlay(path, environment), _beyond(values, base[name])
        contents[path] = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    there = [str(path) for path in contents if path.exists()]
    if there and not overwrite:
        raise UsageError(f"{' and '.join(there)} would be replaced: add --overwrite to do so.")
    for path, text in contents.items():
        write_text(path, text)
    return list(contents)


def read_exported(source: Path) -> Values:
    """Returns an exported configuration, checked.

    Raises:
        ConfigurationError: As `import_settings`.
    """
    try:
        exported = yaml.safe_load(source.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ConfigurationError(f"{source} cannot be read: {reason}.") from error
    if not isinstance(exported, dict) or set(exported) != set(_FILES):
        raise ConfigurationError(
            f"{source} is not an exported configuration: write one with `doctune config export`."
        )
    return {
        "config": _values(check_values(Settings, exported["config"] or {}, source)),
        "vertex_config": _values(
            check_values(VertexSettings, exported["vertex_config"] or {}, source)
        ),
    }


def compare(first: str, second: str = "") -> list[Difference]:
    """Returns the keys in which two configurations differ.

    Args:
        first: An environment, "base", or an exported file.
        second: The same; "" for the settings in force.

    Raises:
        ConfigurationError: There is no such environment or file, or it is not valid.
    """
    return list(_differences(_named(first), _named(second) if second else settings_in_force()))


def _named(name: str) -> Values:
    if name == BASE:
        return settings_in_force("")
    return read_exported(Path(name)) if Path(name).is_file() else settings_in_force(name)


def _values(settings: BaseModel) -> Values:
    return settings.model_dump(mode="json", exclude=_secrets(settings))


def _secrets(settings: BaseModel) -> dict[str, Any]:
    """Returns the fields that are hidden from repr, as pydantic's `exclude` takes them."""
    found: dict[str, Any] = {}
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if not field.repr:
            found[name] = True
        elif isinstance(value, BaseModel) and (inner := _secrets(value)):
            found[name] = inner
    return found


def _beyond(values: Mapping[str, Any], base: Mapping[str, Any]) -> Values:
    """Returns the values that differ from a base."""
    found: Values = {}
    for key, value in values.items():
        there = base.get(key, _ABSENT)
        if isinstance(value, dict) and isinstance(there, dict):
            if inner := _beyond(value, there):
                found[key] = inner
        elif value != there:
            found[key] = value
    return found


def _differences(first: Any, second: Any, key: str = "") -> Iterator[Difference]:
    if isinstance(first, dict) and isinstance(second, dict):
        for name in [*first, *(name for name in second if name not in first)]:
            inner = f"{key}.{name}" if key else name
            yield from _differences(first.get(name), second.get(name), inner)
    elif first != second:
        yield Difference(key, first, second)
