"""The reference of every setting, generated from the settings classes."""

import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from doctune.configuration.settings import CONFIG_FILE, VERTEX_CONFIG_FILE, Settings, VertexSettings

_INTRODUCTION = """\
# Configuration

Two files in `config/`: `config.yaml` says what to build, `vertex_config.yaml` where it runs.
A folder under `config/environments/` is laid over them by `doctune --environment NAME`
([cloud.md](cloud.md)). Environment variables win over all files; each key's variable stands beside
it. An unknown key or a bad value is an error that names the file or variable, the key, and what is
allowed.

This page is made by `doctune config reference`.
"""


def reference() -> str:
    """Returns docs/configuration.md: every key with its type, range, default and variable."""
    parts = [_INTRODUCTION]
    for file, settings in ((CONFIG_FILE, Settings), (VERTEX_CONFIG_FILE, VertexSettings)):
        prefix = str(settings.model_config["env_prefix"])
        parts.append(f"## {file}\n")
        parts.append("| key | type and range | default | what it is | variable |")
        parts.append("|---|---|---|---|---|")
        parts.extend(_rows(settings, "", prefix))
        parts.append("")
    return "\n".join(parts)


def _rows(model: type[BaseModel], path: str, variable: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            yield from _rows(section, f"{path}{name}.", f"{variable}{name.upper()}__")
            continue
        cells = (
            f"`{path}{name}`",
            _type(field),
            _default(field),
            field.description or "",
            f"`{variable}{name.upper()}`",
        )
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _type(field: FieldInfo) -> str:
    text = _type_name(field.annotation)
    bounds = []
    for constraint in field.metadata:
        if isinstance(constraint, annotated_types.Ge):
            bounds.append(f"≥ {constraint.ge}")
        elif isinstance(constraint, annotated_types.Gt):
            bounds.append(f"> {constraint.gt}")
        elif isinstance(constraint, annotated_types.Le):
            bounds.append(f"≤ {constraint.le}")
        elif isinstance(constraint, annotated_types.Lt):
            bounds.append(f"< {constraint.lt}")
    return f"{text}, {' and '.join(bounds)}" if bounds else text


def _type_name(annotation: Any) -> str:
    origin = get_origin(annotation)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in get_args(annotation))
    if origin is Annotated:
        return _type_name(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return " or ".join(_type_name(part) for part in get_args(annotation))
    if annotation is type(None):
        return "null"
    if origin is not None:
        return str(annotation).replace("typing.", "")
    return getattr(annotation, "__name__", str(annotation))


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "empty"
    if field.default is PydanticUndefined:
        return "required"
    return f"`{field.default!r}`" if field.default != "" else "empty"
