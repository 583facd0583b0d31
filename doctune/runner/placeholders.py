"""The placeholders of a compiled spec that kfp.local does not fill, or not as Vertex AI does."""

import json
import re
from collections.abc import Mapping
from typing import Any

from doctune.runner.values import integral

_JSON_ESCAPE = re.compile(r"\{\{\$\.json_escape\[(\d+)\]\}\}")
_PARAMETER = re.compile(r"\{\{\$\.inputs\.parameters\['([^']+)'\]\}\}")
_PATH = re.compile(r"\{\{\$\.(inputs|outputs)\.artifacts\['([^']+)'\]\.path\}\}")
# Hidden from kfp.local, which refuses it.
_HIDDEN_ESCAPE = re.compile(r"<<json-escape-(\d+)>>")
_REMOTE = "gs://"
MOUNT = "/gcs/"


def vertex_placeholders(variables: Mapping[str, str], *, job: str) -> dict[str, str]:
    """Returns what the placeholders of Vertex AI mean in a run.

    Args:
        variables: Where GOOGLE_CLOUD_PROJECT and CLOUD_ML_REGION say where it runs.
        job: The resource name of the pipeline job.
    """
    return {
        "{{$.pipeline_job_resource_name}}": job,
        "{{$.pipeline_google_cloud_project_id}}": variables.get("GOOGLE_CLOUD_PROJECT", ""),
        "{{$.pipeline_google_cloud_location}}": variables.get("CLOUD_ML_REGION", "us-central1"),
        # No account, network or key is set for a job here; the launchers leave empty ones out.
        "{{$.pipeline_service_account}}": "",
        "{{$.pipeline_network}}": "",
        "{{$.pipeline_persistent_resource_id}}": "",
        "{{$.pipeline_encryption_key_name}}": "",
    }


def install(constants: Mapping[str, str]) -> None:
    """Makes kfp.local fill them in this process from now on."""
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
    """Returns where a program finds an artifact: under /gcs, or where it lies on this machine."""
    return MOUNT + uri.removeprefix(_REMOTE) if uri.startswith(_REMOTE) else uri


def _path(match: re.Match[str], executor_input: dict[str, Any]) -> str:
    artifacts = executor_input.get(match[1], {}).get("artifacts", {}).get(match[2], {})
    found = artifacts.get("artifacts", [])
    return mounted_path(found[0].get("uri", "")) if found else ""


def _settle_values(executor_input: dict[str, Any]) -> None:
    """Settles what kfp.local leaves open inside lists and structs, as Vertex does.

    Other parameters that they name are filled in, and 100.0 is 100: protobuf has doubles only.
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
    """Fills json_escape[N]: the executor input as JSON, escaped N times to stand in JSON strings.

    The placeholder may come from the value of a parameter too, in the form that Vertex knows.
    """

    def escaped(match: re.Match[str]) -> str:
        value = json.dumps(executor_input)
        for _ in range(int(match[1])):
            value = json.dumps(value)[1:-1]
        return value

    return _JSON_ESCAPE.sub(escaped, _HIDDEN_ESCAPE.sub(escaped, text))
