"""Runs one step of a pipeline: prepares its input, starts its program, reads its outputs, retries.

Most of this is kfp.local's code. Here outputs are stored at the same paths as on Vertex AI, and a
failed step is reported with its own error message.
"""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from google.protobuf import json_format
from kfp.local import (
    executor_input_utils,
    executor_output_utils,
    importer_handler,
    placeholder_utils,
)
from kfp.pipeline_spec import pipeline_spec_pb2

from doctune.runner.cache import CodeAwareCache
from doctune.runner.dag import Task
from doctune.runner.placeholders import mounted_path
from doctune.runner.scope import Ended, Outcome

_MAX_BACKOFF_SECONDS = 3600
_BACKOFF_FACTOR = 2.0
# Vertex AI waits between retries for services to recover. Here a user waits at the terminal.
_LONGEST_PAUSE_SECONDS = 1.0


@dataclass(frozen=True)
class Launched:
    """The result of a step's program."""

    code: int
    error: str = ""


# Runs a container to completion: image, command, arguments, further variables.
Launch = Callable[[str, Sequence[str], Sequence[str], Mapping[str, str]], Launched]


@dataclass(frozen=True)
class RunNames:
    """The names of a run, and where its outputs go."""

    job_id: str
    resource_name: str
    pipeline_root: str  # a folder of this machine, or a gs:// URI
    folder: str  # under the root, for this run

    def task_root(self, task: Task) -> str:
        """Returns the folder of a step's outputs: ROOT/RUN/TASK_TASKID."""
        return f"{self.pipeline_root.rstrip('/')}/{self.folder}/{task.name}_{task.task_id}"


class StepRunner:
    """Runs the steps of one pipeline run."""

    def __init__(
        self,
        executors: Mapping[str, Any],
        launch: Launch,
        names: RunNames,
        cache: CodeAwareCache | None,
    ) -> None:
        """
        Args:
            executors: The executor specs of the pipeline, by label.
            launch: Runs the program of an image.
            cache: Outputs of earlier steps; None to run every step.
        """
        self._executors, self._launch = executors, launch
        self._names, self._cache = names, cache

    def __call__(self, task: Task, component: Any, inputs: Mapping[str, Any]) -> tuple[Ended, bool]:
        """Runs a step to completion, or reuses the outputs of an earlier run of it."""
        executor = self._executors[component.executor_label]
        if executor.WhichOneof("spec") == "importer":
            return Ended(Outcome.SUCCEEDED, self._import(task, component, executor, inputs)), False
        if executor.WhichOneof("spec") != "container":
            return Ended(
                Outcome.FAILED, error="its executor is neither a container nor an importer"
            ), False
        key = self._cache_key(task, executor.container, inputs)
        if self._cache is not None and key and (kept := self._cache.get(key)) is not None:
            return Ended(Outcome.SUCCEEDED, kept), True
        ended = self._with_retries(task, component, executor.container, inputs)
        if self._cache is not None and key and ended.outcome is Outcome.SUCCEEDED:
            self._cache.put(key, ended.outputs)
        return ended, False

    def _with_retries(
        self, task: Task, component: Any, container: Any, inputs: Mapping[str, Any]
    ) -> Ended:
        policy = task.spec.retry_policy
        wait = float(policy.backoff_duration.seconds)
        longest = policy.backoff_max_duration.seconds or _MAX_BACKOFF_SECONDS
        for attempt in range(policy.max_retry_count + 1):
            ended = self._once(task, component, container, inputs)
            if ended.outcome is Outcome.SUCCEEDED or attempt == policy.max_retry_count:
                break
            time.sleep(min(wait, longest, _LONGEST_PAUSE_SECONDS))
            wait *= policy.backoff_factor or _BACKOFF_FACTOR
        return ended

    def _once(self, task: Task, component: Any, container: Any, inputs: Mapping[str, Any]) -> Ended:
        executor_input = self._executor_input(task, component, inputs)
        values = executor_input_utils.executor_input_to_dict(executor_input, component)
        variables = {variable.name: variable.value for variable in container.env}
        _announce(task)
        launched = self._launch(
            container.image,
            self._filled(container.command, task, values),
            self._filled(container.args, task, values),
            variables,
        )
        if launched.code != 0:
            return Ended(Outcome.FAILED, error=launched.error)
        try:
            return Ended(Outcome.SUCCEEDED, _outputs(executor_input, component))
        except (ValueError, OSError, json_format.ParseError) as error:
            return Ended(Outcome.FAILED, error=f"its outputs cannot be read: {error}")

    def _filled(self, parts: Sequence[str], task: Task, values: dict[str, Any]) -> list[str]:
        return placeholder_utils.replace_placeholders(
            full_command=list(parts),
            executor_input_dict=values,
            pipeline_resource_name=self._names.job_id,
            task_resource_name=task.name,
            pipeline_root=self._names.pipeline_root,
            unique_pipeline_id=self._names.job_id,
        )

    def _executor_input(self, task: Task, component: Any, inputs: Mapping[str, Any]) -> Any:
        # kfp does not support null in a struct; Vertex AI passes it on.
        with_null = {name: value for name, value in inputs.items() if _holds_null(value)}
        message = executor_input_utils.construct_executor_input(
            component_spec=component,
            arguments={**inputs, **dict.fromkeys(with_null, "")},
            task_root=self._names.task_root(task),
            block_input_artifact=False,
        )
        for name, value in with_null.items():
            json_format.ParseDict(value, message.inputs.parameter_values[name])
        # Files have paths; artifacts have URIs, and their paths from those.
        message.outputs.output_file = mounted_path(message.outputs.output_file)
        for parameter in message.outputs.parameters.values():
            parameter.output_file = mounted_path(parameter.output_file)
        return message

    def _import(
        self, task: Task, component: Any, executor: Any, inputs: Mapping[str, Any]
    ) -> dict[str, Any]:
        outputs, _ = importer_handler.run_importer(
            pipeline_resource_name=self._names.job_id,
            component_name=task.spec.component_ref.name,
            component_spec=component,
            executor_spec=executor,
            arguments=dict(inputs),
            pipeline_root=self._names.pipeline_root,
            unique_pipeline_id=self._names.job_id,
        )
        return outputs

    def _cache_key(self, task: Task, container: Any, inputs: Mapping[str, Any]) -> str:
        options = task.spec.caching_options
        if self._cache is None or not options.enable_cache:
            return ""
        return self._cache.compute_key(
            component_name=task.spec.component_ref.name,
            image=container.image,
            full_command=[*container.command, *container.args],
            arguments=dict(inputs),
            env_vars={variable.name: variable.value for variable in container.env},
            custom_cache_key=options.cache_key or None,
        )


def _holds_null(value: Any) -> bool:
    if isinstance(value, dict | list):
        parts = value.values() if isinstance(value, dict) else value
        return any(part is None or _holds_null(part) for part in parts)
    return False


def _announce(task: Task) -> None:
    """Writes to the log which step the following lines belong to; readers split the log there."""
    clock = datetime.now().strftime("%H:%M:%S.%f")[:-3]
    sys.stdout.write(f"{clock} - INFO - Executing task '{task.name}'\n")
    sys.stdout.flush()


def _outputs(executor_input: Any, component: Any) -> dict[str, Any]:
    """Returns a step's outputs; an artifact that it did not report has the URI it was given."""
    said = executor_output_utils.get_outputs_for_task(executor_input, component)
    silent = pipeline_spec_pb2.ExecutorOutput()
    for name, artifacts in executor_input.outputs.artifacts.items():
        if name not in said:
            silent.artifacts[name].CopyFrom(artifacts)
    definitions = component.output_definitions.artifacts
    return said | {
        name: executor_output_utils.artifact_list_to_dsl_artifact(
            artifacts, is_artifact_list=definitions[name].is_artifact_list
        )
        for name, artifacts in silent.artifacts.items()
    }
