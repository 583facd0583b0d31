"""The values that the tasks of a DAG see: the DAG's inputs and the outputs of earlier tasks."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from kfp.local.executor_output_utils import pb2_value_to_python

from doctune.runner.conditions import ExpressionError
from doctune.runner.field_selectors import select

_REFERENCE = re.compile(r"\{\{\$\.inputs\.parameters\['([^']+)'\]\}\}")


class Outcome(Enum):
    """The final state of a task; the values are Vertex AI's names of states."""

    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    NOT_TRIGGERED = "NOT_TRIGGERED"


@dataclass
class Ended:
    """The result of a task."""

    outcome: Outcome
    outputs: dict[str, Any] = field(default_factory=dict)
    error: str = ""


@dataclass
class Scope:
    """One execution of a DAG, such as one iteration of a loop."""

    inputs: dict[str, Any]
    ended: dict[str, Ended] = field(default_factory=dict)

    def task_inputs(self, spec: Any, component: Any, *, job: str) -> dict[str, Any]:
        """Returns the inputs of a task, without optional inputs that have no value.

        Args:
            spec: The spec of the task.
            component: The spec of its component.
            job: The resource name of the pipeline job, for the final status of a task.

        Raises:
            ExpressionError: An input has no value, or an expression cannot be evaluated.
        """
        values: dict[str, Any] = {}
        for name, source in [*spec.inputs.parameters.items(), *spec.inputs.artifacts.items()]:
            found, value = self._value(source, job)
            if found:
                values[name] = value
            elif not _may_lack(component, name):
                raise ExpressionError(f"the input {name!r} has no value: {_origin(source)}")
        return {name: _filled(value, values) for name, value in values.items()}

    def _value(self, source: Any, job: str) -> tuple[bool, Any]:
        kind = source.WhichOneof("kind")
        if kind == "runtime_value":
            return True, pb2_value_to_python(source.runtime_value.constant)
        if kind == "task_final_status":
            return True, self._final_status(source.task_final_status.producer_task, job)
        if kind in ("task_output_parameter", "task_output_artifact"):
            output = getattr(source, kind)
            key = getattr(output, kind.replace("task_", "") + "_key")
            ended = self.ended.get(output.producer_task)
            if ended is None or key not in ended.outputs:
                return False, None
            value = ended.outputs[key]
        else:
            key = getattr(source, kind)
            if key not in self.inputs:
                return False, None
            value = self.inputs[key]
        selector = getattr(source, "parameter_expression_selector", "")
        return True, select(value, selector) if selector else value

    def _final_status(self, task: str, job: str) -> dict[str, Any]:
        ended = self.ended.get(task, Ended(Outcome.NOT_TRIGGERED))
        error = {}
        if ended.outcome is Outcome.FAILED:
            error = {"code": 9, "message": ended.error or f"The task {task} failed."}
        return {
            "state": ended.outcome.value,
            "pipelineJobResourceName": job,
            "pipelineTaskName": task,
            "error": error,
        }


def dag_inputs(component: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the inputs of a DAG: the given values, and the defaults of the others."""
    defaults = {
        name: pb2_value_to_python(declared.default_value)
        for name, declared in component.input_definitions.parameters.items()
        if declared.HasField("default_value")
    }
    return {**defaults, **given}


def dag_outputs(component: Any, scope: Scope) -> dict[str, Any]:
    """Returns the outputs of a DAG, without those of branches that did not run."""
    found: dict[str, Any] = {}
    for name, selector in component.dag.outputs.parameters.items():
        if selector.WhichOneof("kind") == "value_from_oneof":
            selectors = list(selector.value_from_oneof.parameter_selectors)
        else:
            selectors = [selector.value_from_parameter]
        _take(found, name, scope, [(s.producer_subtask, s.output_parameter_key) for s in selectors])
    for name, selector in component.dag.outputs.artifacts.items():
        selectors = list(selector.artifact_selectors)
        _take(found, name, scope, [(s.producer_subtask, s.output_artifact_key) for s in selectors])
    return found


def _take(found: dict[str, Any], name: str, scope: Scope, producers: list[tuple[str, str]]) -> None:
    values = [
        scope.ended[task].outputs[key]
        for task, key in producers
        if task in scope.ended and key in scope.ended[task].outputs
    ]
    if len(values) > 1:
        raise ExpressionError(f"{len(values)} branches gave the output {name!r}, of which one may")
    if values:
        found[name] = values[0]


def _may_lack(component: Any, name: str) -> bool:
    definitions = component.input_definitions
    if name in definitions.parameters:
        declared = definitions.parameters[name]
        return bool(declared.is_optional or declared.HasField("default_value"))
    return name in definitions.artifacts and bool(definitions.artifacts[name].is_optional)


def _origin(source: Any) -> str:
    kind = source.WhichOneof("kind")
    if kind in ("task_output_parameter", "task_output_artifact"):
        output = getattr(source, kind)
        key = getattr(output, kind.replace("task_", "") + "_key")
        return f"the task {output.producer_task!r} gave no output {key!r}"
    return f"it comes from {getattr(source, kind)!r}, which has none"


def _filled(value: Any, values: Mapping[str, Any]) -> Any:
    """Fills references to the task's other inputs in a constant, as f-strings in pipelines make."""
    if isinstance(value, str) and "{{$" in value:
        whole = _REFERENCE.fullmatch(value)
        if whole and whole[1] in values:
            return values[whole[1]]
        return _REFERENCE.sub(lambda match: _text(values, match), value)
    if isinstance(value, list):
        return [_filled(item, values) for item in value]
    if isinstance(value, dict):
        return {key: _filled(item, values) for key, item in value.items()}
    return value


def _text(values: Mapping[str, Any], match: re.Match[str]) -> str:
    import json

    if match[1] not in values:
        return match[0]
    value = values[match[1]]
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # protobuf has doubles only
    return value if isinstance(value, str) else json.dumps(value)
