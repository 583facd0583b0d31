"""Container components for kfp.local's SubprocessRunner, which refuses them.

The image is resolved to a program or an environment by the table of the configuration, as for jobs;
the component's command runs as a subprocess with its placeholders filled, those of Vertex among
them. GCPC's own image stands for this environment.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from doctune.errors import ProgramError
from doctune.runner.mounts import mounted
from doctune.runner.programs import resolve_program
from doctune.runner.values import integral

GCPC_IMAGES = "*/google-cloud-pipeline-components:*"

_JSON_ESCAPE = re.compile(r"\{\{\$\.json_escape\[(\d+)\]\}\}")
_PARAMETER = re.compile(r"\{\{\$\.inputs\.parameters\['([^']+)'\]\}\}")
# Hidden from kfp.local, which refuses it.
_HIDDEN_ESCAPE = re.compile(r"<<json-escape-(\d+)>>")


def install(
    programs: Mapping[str, Sequence[str]], variables: Mapping[str, str], storage: Path
) -> None:
    """Makes kfp.local run container components in this process from now on, and mount buckets.

    Args:
        programs: The table from image patterns to command lines.
        variables: Where GOOGLE_CLOUD_PROJECT and CLOUD_ML_REGION say what Vertex's placeholders
            mean.
        storage: The folder in which the storage emulator keeps a folder for each bucket.
    """
    from kfp.dsl import component_factory
    from kfp.local import placeholder_utils, subprocess_task_handler
    from kfp.local.status import Status

    python_component_handler = subprocess_task_handler.SubprocessTaskHandler

    class TaskHandler(python_component_handler):  # type: ignore[misc, valid-type]
        """Runs Python components as before, and container components too."""

        full_command: list[str]

        def validate_not_container_component(self, full_command: list[str]) -> None:
            self.is_container = not any(
                component_factory.EXECUTOR_MODULE in part for part in full_command
            )

        def run(self) -> Any:
            self.full_command = mounted(self.full_command, storage)
            if not self.is_container:
                return super().run()
            code = _run(self.image, self.full_command, self.env_vars, programs)
            return Status.SUCCESS if code == 0 else Status.FAILURE

    constants = {
        "{{$.pipeline_google_cloud_project_id}}": variables.get("GOOGLE_CLOUD_PROJECT", ""),
        "{{$.pipeline_google_cloud_location}}": variables.get("CLOUD_ML_REGION", "us-central1"),
        # No account, network or key is set for a job here; the launchers leave empty ones out.
        "{{$.pipeline_service_account}}": "",
        "{{$.pipeline_network}}": "",
        "{{$.pipeline_persistent_resource_id}}": "",
        "{{$.pipeline_encryption_key_name}}": "",
    }
    resolve = placeholder_utils.resolve_individual_placeholder

    def resolve_with_vertex(element: str, executor_input_dict: dict[str, Any], **given: Any) -> str:
        _settle_values(executor_input_dict)
        if element == "{{$}}":  # what parameters hold is not looked into
            return json.dumps(executor_input_dict)
        for placeholder, value in constants.items():
            element = element.replace(placeholder, value)
        element = _JSON_ESCAPE.sub(r"<<json-escape-\1>>", element)
        resolved = resolve(element=element, executor_input_dict=executor_input_dict, **given)
        return _escape(resolved, executor_input_dict)

    placeholder_utils.resolve_individual_placeholder = resolve_with_vertex
    subprocess_task_handler.SubprocessTaskHandler = TaskHandler


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


def _run(
    image: str,
    command: Sequence[str],
    variables: Mapping[str, str],
    programs: Mapping[str, Sequence[str]],
) -> int:
    try:
        # The command is both the image's entry point and its arguments: kfp.local joins them.
        line = resolve_program(image, {**programs, GCPC_IMAGES: []}, command=command)
    except ProgramError as error:
        # Read by whoever looks for the reason of a failed step.
        sys.stdout.write(f"ProgramError: {error}\n")
        return 1
    folder = Path(sys.executable).parent
    environment = {
        **os.environ,
        **variables,
        "PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PYTHONUNBUFFERED": "1",
    }
    try:
        process = subprocess.Popen(
            line,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
        )
    except OSError as error:
        sys.stdout.write(f"ProgramError: {line[0]} cannot be started: {error}\n")
        return 1
    with process:
        for text in process.stdout or ():
            sys.stdout.write(text)
        return process.wait()
