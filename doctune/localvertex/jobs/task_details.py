"""Task details of a pipeline job, and their records in the metadata store."""

from datetime import UTC, datetime
from typing import Any

from doctune.errors import DoctuneError
from doctune.localvertex import names
from doctune.localvertex.api.codec import Document
from doctune.localvertex.api.errors import ApiError, Status
from doctune.localvertex.lineage import Lineage
from doctune.localvertex.tracker import JobFailedError, JobKind
from doctune.localvertex.vertex import Vertex
from doctune.runner.events import Event, EventReader

PIPELINE = JobKind("PipelineJob", prefix="PIPELINE_STATE")

_STATES = {
    "task_succeeded": "SUCCEEDED",
    "task_cached": "SKIPPED",
    "task_failed": "FAILED",
    "group_succeeded": "SUCCEEDED",
    "group_failed": "FAILED",
    "task_not_triggered": "NOT_TRIGGERED",
}
_EXECUTION_STATES = {"SUCCEEDED": "COMPLETE", "SKIPPED": "CACHED"}
_METRICS = frozenset(
    {
        "system.Metrics",
        "google.ClassificationMetrics",
        "google.RegressionMetrics",
        "google.ForecastingMetrics",
    }
)


class TaskDetails:
    """The task details of a job, updated from the runner's events."""

    def __init__(self, vertex: Vertex, job: Document) -> None:
        self._vertex, self._job = vertex, job
        self._details: dict[str, Document] = {}
        self._lineage = Lineage(vertex.store, job)
        self.failed: list[str] = []
        self.failure = ""
        self.succeeded = False
        spec = job["pipeline_spec"]
        self._wanted = list(spec["root"].get("dag", {}).get("tasks", {}))
        name = spec.get("pipelineInfo", {}).get("name", "pipeline")
        self._root = self._add(names.new_id()[:18], name, "system.Run")
        self._root["execution"]["display_name"] = names.identifier(job["name"])
        given = self._given_parameters()
        self._root["execution"]["metadata"] = {f"input:{key}": given[key] for key in given}
        self._lineage.keep(self._root["execution"])
        self._write()

    def read(self, reader: EventReader) -> None:
        """Processes the events since the last call."""
        try:
            events = list(reader.new_events())
        except (DoctuneError, ValueError) as error:
            raise JobFailedError(f"The runner's events cannot be read: {error}") from error
        for event in events:
            self._take(event)
        if events:
            self._write()

    def close(self, state: str) -> None:
        """Closes the open tasks when the job has ended."""
        moment = datetime.now(UTC).timestamp()
        for detail in list(self._details.values()):
            if detail["state"] == "RUNNING":
                self._end(detail, state, moment)
        seen = {detail["task_name"] for detail in self._details.values()}
        for name in self._wanted:
            if name not in seen:
                detail = self._add(names.new_id()[:18], name, parent=self._root["task_id"])
                self._end(detail, "NOT_TRIGGERED", moment)
        self._write()

    def _take(self, event: Event) -> None:
        if event.kind == "run_failed":
            self.failure = event.error
        elif event.kind == "run_succeeded":
            self.succeeded = True
        elif event.kind in ("task_started", "group_started"):
            self._start(event)
        elif event.kind in _STATES:
            detail = self._details.get(event.task_id) or self._start(event)
            self._set_outputs(detail, event.outputs)
            if event.kind == "task_failed":
                self.failed.append(event.task)
            if event.error:
                error = ApiError(Status.INTERNAL, event.error)
                detail["error"] = error.operation_error()
            self._end(detail, _STATES[event.kind], event.time)

    def _start(self, event: Event) -> Document:
        is_group = event.kind.startswith("group")
        detail = self._add(
            event.task_id,
            event.task,
            "system.DagExecution" if is_group else "system.ContainerExecution",
            parent=event.groups[-1] if event.groups else self._root["task_id"],
            moment=event.time,
        )
        detail["execution"]["display_name"] = event.display_name
        if event.kind == "task_started":
            # Cloud Logging files a step's output under the custom job that runs it.
            main_job = f"{names.location_name(self._job['name'])}/customJobs/{detail['task_id']}"
            detail["executor_detail"] = {"container_detail": {"main_job": main_job}}
        for name, value in event.inputs.items():
            if artifacts := _artifacts(value):
                kept = [self._lineage.artifact(name, artifact) for artifact in artifacts]
                detail.setdefault("inputs", {})[name] = {"artifacts": kept}
            elif not name.startswith("pipelinechannel--"):
                detail["execution"]["metadata"][f"input:{name}"] = value
        return detail

    def _add(
        self,
        task_id: str,
        name: str,
        schema_title: str = "system.ContainerExecution",
        *,
        parent: str = "",
        moment: float | None = None,
    ) -> Document:
        begun = _time(moment)
        detail: Document = {
            "task_id": task_id,
            "task_name": name,
            "create_time": begun,
            "start_time": begun,
            "state": "RUNNING",
            "pipeline_task_status": [{"update_time": begun, "state": "RUNNING"}],
            "execution": {
                "name": f"{metadata_store(self._job['name'])}/executions/{task_id}",
                "display_name": name,
                "state": "RUNNING",
                "schema_title": schema_title,
                "schema_version": "0.0.1",
                "create_time": begun,
                "metadata": {},
            },
        }
        if parent:
            detail["parent_task_id"] = parent
        self._details[task_id] = detail
        return detail

    def _set_outputs(self, detail: Document, outputs: dict[str, Any]) -> None:
        for name, value in outputs.items():
            if artifacts := _artifacts(value):
                kept = [self._lineage.artifact(name, artifact) for artifact in artifacts]
                detail.setdefault("outputs", {})[name] = {"artifacts": kept}
            else:
                detail["execution"]["metadata"][f"output:{name}"] = value

    def _end(self, detail: Document, state: str, moment: float) -> None:
        detail["state"] = state
        detail["end_time"] = _time(moment)
        detail["pipeline_task_status"].append({"update_time": _time(moment), "state": state})
        execution = detail["execution"]
        execution["state"] = _EXECUTION_STATES.get(state, "FAILED")
        execution["update_time"] = _time(moment)
        if state == "NOT_TRIGGERED":
            return
        outputs = _listed(detail.get("outputs", {}))
        self._lineage.keep(execution, inputs=_listed(detail.get("inputs", {})), outputs=outputs)
        metrics = [artifact for artifact in outputs if artifact["schema_title"] in _METRICS]
        if metrics and "executor_detail" in detail:
            # Also on the run's context, where `get_pipeline_df` reads it.
            self._lineage.keep(self._root["execution"], outputs=metrics)

    def _given_parameters(self) -> Document:
        declared = self._job["pipeline_spec"]["root"].get("inputDefinitions", {})
        defaults = {
            name: parameter["defaultValue"]
            for name, parameter in declared.get("parameters", {}).items()
            if parameter.get("defaultValue") is not None
        }
        return {**defaults, **self._job["runtime_config"].get("parameter_values", {})}

    def _write(self) -> None:
        self._vertex.jobs.update(
            PIPELINE,
            self._job["name"],
            job_detail={**self._job["job_detail"], "task_details": list(self._details.values())},
        )


def metadata_store(name: str) -> str:
    """Returns the metadata store that pipelines of a location use."""
    return f"{names.location_name(name)}/metadataStores/default"


def run_context(name: str) -> str:
    """Returns the name of a pipeline job's context."""
    return f"{metadata_store(name)}/contexts/{names.identifier(name)}"


def _artifacts(value: Any) -> list[Document]:
    """Returns the artifacts in a value; none for a parameter's value."""
    values = value if isinstance(value, list) else [value]
    are_artifacts = values and all(
        isinstance(item, dict) and "uri" in item and "schema_title" in item for item in values
    )
    return values if are_artifacts else []


def _listed(named: Document) -> list[Document]:
    return [artifact for one in named.values() for artifact in one["artifacts"]]


def _time(moment: float | None) -> str:
    return names.timestamp(None if moment is None else datetime.fromtimestamp(moment, UTC))
