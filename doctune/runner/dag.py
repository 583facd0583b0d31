"""Runs the control flow of a compiled pipeline: DAGs, conditions, loops, exit handlers.

kfp.local's orchestrator cannot evaluate conditions on a field of a loop item, treats what it cannot
resolve as false, and does not say which task of which iteration failed. This orchestrator follows
the spec: a task's condition and its loop see only the task's own inputs.

- A task whose condition is false, or that depends on such a task, is not triggered.
- A task whose upstream task failed is not triggered either, unless it only waits for completion
  (exit tasks, `ignore_upstream_failure`).
- The tasks of a DAG run one after another. Up to two iterations of a loop run in parallel, or
  fewer if the pipeline sets a lower limit.
"""

import json
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from kfp.local.graph_utils import topological_sort_tasks
from kfp.pipeline_spec import pipeline_spec_pb2

from doctune.runner.conditions import ExpressionError, holds
from doctune.runner.events import Event, EventKind, EventLog, new_task_id
from doctune.runner.scope import Ended, Outcome, Scope, dag_inputs, dag_outputs
from doctune.runner.values import one_line, plain

_ROUNDS_AT_ONCE = 2
_ALL_COMPLETED = pipeline_spec_pb2.PipelineTaskSpec.TriggerPolicy.ALL_UPSTREAM_TASKS_COMPLETED


@dataclass(frozen=True)
class Place:
    """The position of a task in a pipeline."""

    groups: tuple[str, ...] = ()  # ids of the groups around it, outermost first
    iteration: int | None = None  # the round of the innermost loop
    rounds: tuple[str, ...] = ()  # for people: "for-loop-1 (round 2)"

    def describe(self, task: str) -> str:
        """Returns a task's name with its loop iterations."""
        return " > ".join([*self.rounds, task])


@dataclass(frozen=True)
class Task:
    """One execution of a task; each iteration of a loop has its own."""

    name: str
    spec: Any
    place: Place
    task_id: str = field(default_factory=new_task_id)

    def describe(self) -> str:
        """Returns the task's name with its loop iterations."""
        return self.place.describe(self.name)


# Runs a step to completion; returns its result and whether its outputs came from the cache.
RunStep = Callable[[Task, Any, Mapping[str, Any]], tuple[Ended, bool]]


class DagRunner:
    """One run of a pipeline."""

    def __init__(
        self,
        components: Mapping[str, Any],
        run_step: RunStep,
        log: EventLog,
        *,
        job: str,
        fail_fast: bool,
    ) -> None:
        """
        Args:
            components: The components of the spec, by name.
            job: The resource name of the pipeline job.
            fail_fast: Whether to start no further steps, except exit handlers, after a failure.
        """
        self._components, self._run_step, self._log = components, run_step, log
        self._job, self._fail_fast = job, fail_fast
        self._failed = threading.Event()

    def run(self, component: Any, given: Mapping[str, Any], place: Place | None = None) -> Ended:
        """Runs a DAG to its end."""
        place = place or Place()
        scope = Scope(dag_inputs(component, given))
        names = topological_sort_tasks(component.dag.tasks)
        while names:
            name = names.pop()
            scope.ended[name] = self._task(name, component.dag.tasks[name], scope, place)
        failed = [ended for ended in scope.ended.values() if ended.outcome is Outcome.FAILED]
        if failed:
            return Ended(Outcome.FAILED, error="; ".join(e.error for e in failed if e.error))
        try:
            return Ended(Outcome.SUCCEEDED, dag_outputs(component, scope))
        except ExpressionError as error:
            return Ended(Outcome.FAILED, error=f"{place.describe('outputs')}: {error}")

    def _task(self, name: str, spec: Any, scope: Scope, place: Place) -> Ended:
        task = Task(name, spec, place)
        component = self._components[spec.component_ref.name]
        if not self._is_triggered(spec, scope):
            return self._skip(task)
        try:
            inputs = scope.task_inputs(spec, component, job=self._job)
            condition = spec.trigger_policy.condition
            if condition and not holds(condition, _parameters(spec, inputs)):
                return self._skip(task)
            rounds = _rounds(spec, inputs)
        except ExpressionError as error:
            return self._fail(task, error)
        if rounds is not None:
            return self._group(task, lambda inner: self._loop(task, inputs, rounds, inner))
        return self._body(task, component, inputs)

    def _body(self, task: Task, component: Any, inputs: Mapping[str, Any]) -> Ended:
        if component.WhichOneof("implementation") == "dag":
            return self._group(task, lambda inner: self.run(component, inputs, inner))
        self._report("task_started", task, inputs=plain(inputs))
        start = time.monotonic()
        try:
            ended, cached = self._run_step(task, component, inputs)
        except Exception as error:
            ended, cached = Ended(Outcome.FAILED, error=one_line(error)), False
        seconds = round(time.monotonic() - start, 3)
        if ended.outcome is Outcome.FAILED:
            self._failed.set()
            self._report("task_failed", task, seconds=seconds, error=ended.error)
            reason = ended.error or "the step failed; see its log for the reason"
            return replace(ended, error=f"{task.describe()}: {reason}")
        kind: EventKind = "task_cached" if cached else "task_succeeded"
        self._report(kind, task, seconds=seconds, outputs=plain(ended.outputs))
        return ended

    def _loop(
        self, task: Task, inputs: Mapping[str, Any], rounds: list[Any], place: Place
    ) -> Ended:
        component = self._components[task.spec.component_ref.name]
        item_input = getattr(task.spec, task.spec.WhichOneof("iterator")).item_input

        def run_round(index: int) -> Ended:
            if self._failed.is_set() and self._fail_fast:
                return Ended(Outcome.NOT_TRIGGERED)
            told = f"{task.name} (round {index + 1})"
            inner = replace(place, iteration=index, rounds=(*place.rounds, told))
            given = {**inputs, item_input: rounds[index]}
            if component.WhichOneof("implementation") == "dag":
                return self.run(component, given, inner)
            return self._body(Task(task.name, task.spec, inner), component, given)

        limit = task.spec.iterator_policy.parallelism_limit or _ROUNDS_AT_ONCE
        with ThreadPoolExecutor(max_workers=min(limit, _ROUNDS_AT_ONCE)) as pool:
            ended = list(pool.map(run_round, range(len(rounds))))
        failed = [one for one in ended if one.outcome is Outcome.FAILED]
        if failed:
            return Ended(Outcome.FAILED, error="; ".join(one.error for one in failed))
        return Ended(Outcome.SUCCEEDED, _collected(component, ended))

    def _group(self, task: Task, run: Callable[[Place], Ended]) -> Ended:
        """Runs a condition, loop, handler or inner pipeline and reports it as a whole."""
        self._report("group_started", task)
        ended = run(replace(task.place, groups=(*task.place.groups, task.task_id)))
        kind: EventKind = "group_failed" if ended.outcome is Outcome.FAILED else "group_succeeded"
        self._report(kind, task, error=ended.error, outputs=plain(ended.outputs))
        return ended

    def _is_triggered(self, spec: Any, scope: Scope) -> bool:
        if spec.trigger_policy.strategy == _ALL_COMPLETED:
            return True
        if self._fail_fast and self._failed.is_set():
            return False
        upstream = [scope.ended[name] for name in spec.dependent_tasks if name in scope.ended]
        return all(ended.outcome is Outcome.SUCCEEDED for ended in upstream)

    def _skip(self, task: Task) -> Ended:
        self._report("task_not_triggered", task)
        return Ended(Outcome.NOT_TRIGGERED)

    def _fail(self, task: Task, error: Exception) -> Ended:
        self._failed.set()
        self._report("task_started", task)
        self._report("task_failed", task, error=str(error))
        return Ended(Outcome.FAILED, error=f"{task.describe()}: {error}")

    def _report(self, kind: EventKind, task: Task, **fields: Any) -> None:
        self._log.write(
            Event(
                kind=kind,
                task=task.name,
                task_id=task.task_id,
                groups=task.place.groups,
                display_name=task.spec.task_info.name or task.name,
                iteration=task.place.iteration,
                **fields,
            )
        )


def _parameters(spec: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the inputs of a task without its artifacts, which conditions cannot refer to."""
    return {name: inputs[name] for name in spec.inputs.parameters if name in inputs}


def _rounds(spec: Any, inputs: Mapping[str, Any]) -> list[Any] | None:
    """Returns the items of a loop; None if the task is not a loop.

    Raises:
        ExpressionError: Its items are not a list.
    """
    kind = spec.WhichOneof("iterator")
    if kind is None:
        return None
    items = getattr(spec, kind).items
    if kind == "artifact_iterator":
        name = items.input_artifact
    elif items.WhichOneof("kind") == "raw":
        return list(json.loads(items.raw))
    else:
        name = items.input_parameter
    if name not in inputs:
        raise ExpressionError(f"the loop iterates over {name!r}, which has no value")
    value = inputs[name]
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = None
    if not isinstance(value, list):
        raise ExpressionError(
            f"the loop iterates over {name!r}, which is not a list: {inputs[name]!r}"
        )
    return value


def _collected(component: Any, rounds: list[Ended]) -> dict[str, Any]:
    """Returns the outputs of a loop: for each name the values of all iterations, in order.

    Lists of artifacts are concatenated, since KFP has no type for lists of lists of artifacts.
    """
    outputs: dict[str, Any] = {}
    for name in component.output_definitions.parameters:
        outputs[name] = [ended.outputs[name] for ended in rounds if name in ended.outputs]
    for name in component.output_definitions.artifacts:
        values = [ended.outputs[name] for ended in rounds if name in ended.outputs]
        outputs[name] = [
            artifact
            for value in values
            for artifact in (value if isinstance(value, list) else [value])
        ]
    return outputs
