"""Fills placeholders of a compiled spec that kfp.local leaves, or fills unlike Vertex AI."""

import json
import re
from collections.abc import Mapping
from typing import Any

from doctune.runner.values import integral

_JSON_ESCAPE = re.compile(r"\{\{\$\.json_escape\[(\d+)\]\}\}")
_PARAMETER = re.compile(r"\{\{\$\.inputs\.parameters\['([^']+)'\]\}\}")
_PATH = re.compile(r"\{\{\$\.(inputs|outputs)\.artifacts\['([^']+)'\]\.path\}\}")
# Replaced before kfp.local sees it, which refuses it.
_HIDDEN_ESCAPE = re.compile(r"<<json-escape-(\d+)>>")
_REMOTE = "gs://"
MOUNT = "/gcs/"


def vertex_placeholders(variables: Mapping[str, str], *, job: str) -> dict[str, str]:
    """Returns the values of Vertex AI's placeholders in a run.

    Args:
        variables: Environment variables; GOOGLE_CLOUD_PROJECT and CLOUD_ML_REGION are used.
        job: The resource name of the pipeline job.
    """
    return {
        "{{$.pipeline_job_resource_name}}": job,
        "{{$.pipeline_google_cloud_project_id}}": variables.get("GOOGLE_CLOUD_PROJECT", ""),
        "{{$.pipeline_google_cloud_location}}": variables.get("CLOUD_ML_REGION", "us-central1"),
        # Local jobs have no service account, network or key; the launchers omit empty values.
        "{{$.pipeline_service_account}}": "",
        "{{$.pipeline_network}}": "",
        "{{$.pipeline_persistent_resource_id}}": "",
        "{{$.pipeline_encryption_key_name}}": "",
    }


def install(constants: Mapping[str, str]) -> None:
    """Patches kfp.local in this process so that it fills them."""
    from kfp.local import placeholder_utils

    resolve = placeholder_utils.resolve_individual_placeholder

    def resolve_with_vertex(element: str, executor_input_dict: dict[str, Any], **given: Any) -> str:
        _settle_values(executor_input_dict)
        if element == "{{$}}":  # what parameters hold is not looked into
            return json.dumps(executor_input_dict)
        for placeholder, value in constants.items():
            element = element.replace(placeholder, value)
        element = _PATH.sub(lambda match: _path(match, executor_input_dict), element)
        element = _JSON_ESCAPE.sub(r"<<json-escape-\1>>", element)
        resolved = resolve(element=element, executor_input_dict=executor_input_dict, **given)
        return _escape(resolved, executor_input_dict)

    placeholder_utils.resolve_individual_placeholder = resolve_with_vertex


def mounted_path(uri: str) -> str:
    """Returns the path at which a program finds an artifact: under /gcs, or its local path."""
    return MOUNT + uri.removeprefix(_REMOTE) if uri.startswith(_REMOTE) else uri


def _path(match: re.Match[str], executor_input: dict[str, Any]) -> str:
    artifacts = executor_input.get(match[1], {}).get("artifacts", {}).get(match[2], {})
    found = artifacts.get("artifacts", [])
    return mounted_path(found[0].get("uri", "")) if found else ""


def _settle_values(executor_input: dict[str, Any]) -> None:
    """Resolves placeholders inside lists and structs, as Vertex AI does.

    References to other parameters are filled in, and 100.0 becomes 100: protobuf has only doubles.
    """
    values = executor_input.get("inputs", {}).get("parameterValues", {})

    def fill(match: re.Match[str]) -> str:
        value = values.get(match[1])
        return value if isinstance(value, str) else json.dumps(value)

    def settle(value: Any) -> Any:
        if isinstance(value, str):
            return _PARAMETER.sub(fill, value)
        if isinstance(value, list):
            return [settle(item) for item in value]
        if isinstance(value, dict):
            return {key: settle(item) for key, item in value.items()}
        return integral(value)

    for name, value in values.items():
        if isinstance(value, (list, dict)):
            values[name] = settle(value)


def _escape(text: str, executor_input: dict[str, Any]) -> str:
    """Fills json_escape[N]: the executor input as JSON, escaped N times for use in JSON strings.

    The placeholder may also be in the value of a parameter, in Vertex AI's form.
    """

    def escaped(match: re.Match[str]) -> str:
        value = json.dumps(executor_input)
        for _ in range(int(match[1])):
            value = json.dumps(value)[1:-1]
        return value

    return _JSON_ESCAPE.sub(escaped, _HIDDEN_ESCAPE.sub(escaped, text))
