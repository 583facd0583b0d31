"""Reads the signature of a compiled pipeline, and checks parameters against it.

Vertex AI refuses a wrong parameter only after the upload, and some only when a step runs. Here,
unknown, missing and mistyped parameters are reported in one message, before anything is sent.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from doctune import limits
from doctune.errors import StorageError, UsageError
from doctune.vertex.errors import google_errors

_ARTIFACT_REGISTRY = re.compile(r"https://[\w-]+-kfp\.pkg\.dev/.+")

# The name of each type in messages, and the Python types that fit it. A bool is an int in Python,
# but not in a pipeline.
_TYPES: dict[str, tuple[str, tuple[type, ...]]] = {
    "STRING": ("a text", (str,)),
    "NUMBER_INTEGER": ("a whole number", (int,)),
    "NUMBER_DOUBLE": ("a number", (int, float)),
    "BOOLEAN": ("true or false", (bool,)),
    "LIST": ("a list", (list, tuple)),
    "STRUCT": ("an object", (dict,)),
}


@dataclass(frozen=True)
class Parameter:
    """One parameter of a pipeline."""

    name: str
    type: str  # STRING, NUMBER_INTEGER, NUMBER_DOUBLE, BOOLEAN, LIST or STRUCT
    required: bool
    default: Any


@dataclass(frozen=True)
class PipelineSignature:
    """The name and the parameters of a compiled pipeline."""

    pipeline: str
    parameters: dict[str, Parameter]


def read_signature(spec: str | Path) -> PipelineSignature:
    """Returns the signature of a compiled pipeline.

    Args:
        spec: A local file, a gs:// object, or a template in Artifact Registry
            (https://...-kfp.pkg.dev/...).

    Raises:
        UsageError: There is no such file, or it is not a compiled pipeline.
        StorageError: It cannot be fetched.
    """
    try:
        # A second document, if any, is for other platforms.
        document = next(iter(yaml.safe_load_all(_read(str(spec)))))
        document = document.get("pipelineSpec", document)
        declared = document["root"].get("inputDefinitions", {}).get("parameters", {})
        name = str(document["pipelineInfo"]["name"])
        parameters = {
            key: Parameter(
                name=key,
                type=str(value["parameterType"]),
                required=not value.get("isOptional") and "defaultValue" not in value,
                default=value.get("defaultValue"),
            )
            for key, value in declared.items()
        }
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, StopIteration) as error:
        raise UsageError(
            f"{spec} is not a compiled pipeline: compile it again with `python compile.py`."
        ) from error
    return PipelineSignature(name, parameters)


def check_parameters(signature: PipelineSignature, values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the values, converted to the types of the pipeline's parameters.

    Raises:
        UsageError: A parameter is unknown, missing or of the wrong type. All problems are named.
    """
    problems, checked = [], {}
    for name, value in values.items():
        parameter = signature.parameters.get(name)
        if parameter is None:
            problems.append(_unknown(name, signature))
            continue
        kind, allowed = _TYPES.get(parameter.type, ("anything", (object,)))
        whole = parameter.type == "NUMBER_INTEGER" and isinstance(value, float)
        if whole and value.is_integer():
            value = int(value)
        if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
            problems.append(f"{name} must be {kind}; it is {value!r}")
        checked[name] = value
    missing = [p.name for p in signature.parameters.values() if p.required and p.name not in values]
    if missing:
        problems.append(f"missing: {', '.join(sorted(missing))}")
    if problems:
        raise UsageError(f"parameters of {signature.pipeline}: {'; '.join(problems)}.")
    return checked


def parse_parameter(signature: PipelineSignature, name: str, text: str) -> Any:
    """Parses a parameter's value from a command-line argument.

    Raises:
        UsageError: There is no such parameter, or the text does not fit its type.
    """
    parameter = signature.parameters.get(name)
    if parameter is None:
        raise UsageError(f"parameters of {signature.pipeline}: {_unknown(name, signature)}.")
    if parameter.type == "STRING":
        return text
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    return check_parameters(
        PipelineSignature(signature.pipeline, {name: parameter}), {name: value}
    )[name]


def _unknown(name: str, signature: PipelineSignature) -> str:
    near = difflib.get_close_matches(name, signature.parameters, n=1)
    known = ", ".join(sorted(signature.parameters)) or "none"
    return f"{name} is unknown " + (f"(did you mean {near[0]}?)" if near else f"(known: {known})")


def _read(spec: str) -> str:
    if spec.startswith("gs://"):
        return _read_object(spec)
    if spec.startswith("https://"):
        return _read_template(spec)
    path = Path(spec)
    if not path.is_file():
        raise UsageError(f"{spec} is missing: make it with `python compile.py`.")
    return path.read_text(encoding="utf-8")


def _read_object(uri: str) -> str:
    from doctune.vertex.session import storage_client
    from doctune.vertex.storage import parse_uri

    bucket, name = parse_uri(uri)
    with google_errors(f"read {uri}", StorageError):
        return storage_client().bucket(bucket).blob(name).download_as_text(encoding="utf-8")


def _read_template(url: str) -> str:
    from google.auth.transport.requests import AuthorizedSession

    from doctune.vertex.session import current_session

    if not _ARTIFACT_REGISTRY.fullmatch(url):
        raise UsageError(
            f"{url} is not a pipeline template: give a file, a gs:// object, or a template in "
            "Artifact Registry (https://REGION-kfp.pkg.dev/PROJECT/REPOSITORY/PACKAGE/TAG)."
        )
    with google_errors(f"read {url}", StorageError):
        answer = AuthorizedSession(current_session().credentials).get(
            url, timeout=limits.REQUEST.seconds
        )
        answer.raise_for_status()
        return str(answer.text)
