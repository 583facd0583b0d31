"""Runs the control flow of a pipeline with its components' functions called in this process."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from google.protobuf import json_format
from kfp import compiler, dsl
from kfp.pipeline_spec import pipeline_spec_pb2

from doctune.runner.dag import DagRunner, Task
from doctune.runner.events import Event, EventLog, EventReader
from doctune.runner.scope import Ended, Outcome
from doctune.runner.values import integral


@dataclass
class Run:
    """What came of a run."""

    ended: Ended
    events: list[Event]
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    @property
    def succeeded(self) -> bool:
        return self.ended.outcome is Outcome.SUCCEEDED

    def given(self, task: str, name: str) -> list[Any]:
        """Returns what each execution of a task was given for an input."""
        return [inputs.get(name) for called, inputs in self.calls if called == task]

    def states(self) -> dict[str, str]:
        """Returns the last state of each task by its name."""
        return {event.task: event.kind for event in self.events}


def run(
    pipeline: Any, folder: Path, *components: Any, fail_fast: bool = False, **arguments: Any
) -> Run:
    """Compiles a pipeline and runs it."""
    compiler.Compiler().compile(pipeline, str(folder / "spec.yaml"))
    document = next(iter(yaml.safe_load_all((folder / "spec.yaml").read_text())))
    spec = json_format.ParseDict(document, pipeline_spec_pb2.PipelineSpec())
    functions = {component.name: component.python_func for component in components}
    calls: list[tuple[str, dict[str, Any]]] = []

    def run_step(task: Task, component: Any, inputs: Mapping[str, Any]) -> tuple[Ended, bool]:
        name = component.executor_label.removeprefix("exec-").rstrip("0123456789-")
        function = functions[name]
        values = {key: integral(value) for key, value in inputs.items()}
        made = {
            key: dsl.Dataset(name=key, uri=f"memory/{task.task_id}/{key}")
            for key in component.output_definitions.artifacts
        }
        known = {key: value for key, value in values.items() if not key.startswith("pipeline")}
        calls.append((task.name, known))
        try:
            returned = function(**known, **made)
        except Exception as error:
            return Ended(Outcome.FAILED, error=f"{type(error).__name__}: {error}"), False
        outputs: dict[str, Any] = dict(made)
        if "Output" in component.output_definitions.parameters:
            outputs["Output"] = returned
        return Ended(Outcome.SUCCEEDED, outputs), False

    log = EventLog(folder / "events.jsonl")
    runner = DagRunner(dict(spec.components), run_step, log, job="jobs/1", fail_fast=fail_fast)
    ended = runner.run(spec.root, arguments)
    return Run(ended, list(EventReader(folder / "events.jsonl").new_events()), calls)
