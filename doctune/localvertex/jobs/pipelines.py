"""PipelineJobs: the compiled spec, run by doctune's runner in a process of its own.

The runner writes its outputs where the storage emulator keeps the bucket of the pipeline root, so
they are objects under that root. Its events become the task details that Vertex reports while a job
runs.
"""

import asyncio
import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from doctune.digests import digest_value
from doctune.errors import DoctuneError
from doctune.files import write_json
from doctune.localvertex import names
from doctune.localvertex.api.codec import Document
from doctune.localvertex.api.errors import ApiError, Status, invalid
from doctune.localvertex.jobs.processes import JobFailedError, exit_reason, run_program
from doctune.localvertex.jobs.tracker import JobKind
from doctune.localvertex.objects import split_uri
from doctune.localvertex.programs import container_environment, last_error
from doctune.localvertex.vertex import Vertex
from doctune.runner.events import Event, EventReader

PIPELINE = JobKind("PipelineJob", prefix="PIPELINE_STATE")

_WORKER = "doctune.runner.worker"
_FAIL_FAST = "PIPELINE_FAILURE_POLICY_FAIL_FAST"
_POLL_SECONDS = 0.2
_BAD_ARGUMENTS = 2
_TYPES: dict[str, tuple[type, ...]] = {
    "STRING": (str,),
    "NUMBER_INTEGER": (int, float),
    "NUMBER_DOUBLE": (int, float),
    "BOOLEAN": (bool,),
    "LIST": (list,),
    "STRUCT": (dict,),
}
_JOB_ID = re.compile(r"[a-z][-a-z0-9]{0,127}")


def check_pipeline_job(job: Document, job_id: str) -> None:
    """Refuses a job as Vertex does: a spec that is none, a bad root, bad parameters.

    Raises:
        ApiError: INVALID_ARGUMENT, naming what is wrong.
    """
    if job_id and not _JOB_ID.fullmatch(job_id):
        raise invalid(f"Invalid pipeline_job_id {job_id!r}: it must match [a-z][-a-z0-9]{{0,127}}.")
    spec = job.get("pipeline_spec")
    if not spec or "root" not in spec or "deploymentSpec" not in spec:
        raise invalid("pipeline_spec is missing or is not a compiled pipeline.")
    runtime = job.get("runtime_config", {})
    root = runtime.get("gcs_output_directory", "")
    if not root.startswith("gs://"):
        raise invalid(f"runtime_config.gcs_output_directory must be a gs:// URI, not {root!r}.")
    declared = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    given = runtime.get("parameter_values", {})
    for name, value in given.items():
        if name not in declared:
            raise invalid(
                f"Parameter {name!r} is not an input of the pipeline; it has: "
                f"{', '.join(sorted(declared)) or 'none'}."
            )
        _check_type(name, value, declared[name].get("parameterType", ""))
    for name, declaration in declared.items():
        optional = "defaultValue" in declaration or declaration.get("isOptional")
        if name not in given and not optional:
            raise invalid(f"Parameter {name!r} of the pipeline is required and was not given.")


def _check_type(name: str, value: Any, wanted: str) -> None:
    allowed = _TYPES.get(wanted)
    right = allowed is None or (
        isinstance(value, allowed) and (wanted == "BOOLEAN" or not isinstance(value, bool))
    )
    if right and wanted == "NUMBER_INTEGER":
        right = float(value).is_integer()
    if not right:
        raise invalid(f"Parameter {name!r} must be of type {wanted}; it is {value!r}.")


async def run_pipeline_job(vertex: Vertex, job: Document) -> Document:
    """Runs a pipeline and returns what to set on the job.

    Raises:
        JobFailedError: A task failed, with its error.
    """
    job_id = names.identifier(job["name"])
    folder = vertex.config.state_dir / "pipelines" / job_id
    spec = dict(job["pipeline_spec"])
    write_json(folder / "spec.yaml", spec)  # JSON is YAML
    write_json(folder / "arguments.json", _arguments(job))
    write_json(folder / "programs.json", vertex.config.programs)
    bucket, prefix = split_uri(job["runtime_config"]["gcs_output_directory"])
    root = vertex.storage_folder / bucket / prefix
    command = [
        *(sys.executable, "-m", _WORKER, "--programs", str(folder / "programs.json")),
        *("--storage", str(vertex.storage_folder)),
        *("--spec", str(folder / "spec.yaml"), "--arguments", str(folder / "arguments.json")),
        *("--folder", str(folder), "--pipeline-root", str(root).rstrip("/")),
        # Beside the bucket: a listing fails on files in it that are no objects.
        *("--cache-root", str(folder.parent / ".cache" / digest_value([bucket, prefix]))),
    ]
    if job["runtime_config"].get("failure_policy") == _FAIL_FAST:
        command.append("--fail-fast")
    environment = container_environment(vertex.environment, {"CLOUD_ML_JOB_ID": job_id})
    log_path = vertex.log_path("pipelines", f"{job_id}.log")
    tasks = _Tasks(vertex, job, log_path)
    process = asyncio.create_task(run_program(command, environment, log_path, cwd=folder))
    reader = EventReader(folder / "events.jsonl")
    try:
        while not process.done():
            await asyncio.wait([process], timeout=_POLL_SECONDS)
            tasks.read(reader)
        code = process.result()
    except asyncio.CancelledError:
        process.cancel()
        await asyncio.gather(process, return_exceptions=True)
        tasks.read(reader)
        tasks.close("CANCELLED")
        raise
    tasks.read(reader)
    if code == 0:
        tasks.close("SUCCEEDED")
        return {}
    tasks.close("FAILED")
    reason = tasks.task_error or tasks.failure or exit_reason(code, log_path)
    if code == _BAD_ARGUMENTS:
        raise JobFailedError(reason, Status.INVALID_ARGUMENT)
    failed = ", ".join(tasks.failed) or "unknown"
    raise JobFailedError(
        f"The DAG failed because some tasks failed. The failed tasks are: [{failed}]. {reason}",
        Status.FAILED_PRECONDITION,
    )


def _arguments(job: Document) -> Document:
    """Returns the parameters with whole numbers as integers where the spec says so."""
    declared = job["pipeline_spec"]["root"].get("inputDefinitions", {}).get("parameters", {})
    return {
        name: int(value) if declared[name].get("parameterType") == "NUMBER_INTEGER" else value
        for name, value in job["runtime_config"].get("parameter_values", {}).items()
    }


def metadata_store(name: str) -> str:
    """Returns the metadata store that pipelines of a location use."""
    return f"{names.location_name(name)}/metadataStores/default"


def run_context(name: str) -> str:
    """Returns the name of the context that stands for a pipeline job."""
    return f"{metadata_store(name)}/contexts/{names.identifier(name)}"


class _Tasks:
    """The task details of one job, kept up to date from the runner's events."""

    def __init__(self, vertex: Vertex, job: Document, log_path: Path) -> None:
        self._vertex, self._job, self._log_path = vertex, job, log_path
        self._details: list[Document] = []
        self._running: dict[tuple[str, int | None], Document] = {}
        self._groups: dict[str, Document] = {}
        self._failed_groups: set[str] = set()
        self.failed: list[str] = []
        self.failure = ""
        self.task_error = ""
        spec = job["pipeline_spec"]
        self._scopes = _scopes(spec, spec["root"].get("dag", {}))
        self._root = self._add(spec.get("pipelineInfo", {}).get("name", "pipeline"), "system.Run")
        self._wanted = list(spec["root"].get("dag", {}).get("tasks", {}))
        self._write()

    def read(self, reader: EventReader) -> None:
        """Takes in what has happened since the last time."""
        try:
            events = list(reader.new_events())
        except (DoctuneError, ValueError) as error:
            raise JobFailedError(f"The runner's events cannot be read: {error}") from error
        for event in events:
            self._take(event)
        if events:
            self._write()

    def close(self, state: str) -> None:
        """Closes what is still open when the job has ended."""
        moment = datetime.now(UTC).timestamp()
        if state == "SUCCEEDED":
            self._enter((), moment)
        for detail in self._details:
            if detail["state"] == "RUNNING":
                self._end(detail, state, moment)
        seen = {detail["task_name"] for detail in self._details}
        for name in self._wanted:
            if name not in seen:
                detail = self._add(name, parent=self._root)
                self._end(detail, "NOT_TRIGGERED", moment)
        self._write()

    def _take(self, event: Event) -> None:
        key = event.task, event.iteration
        if event.kind == "task_started":
            parent = self._enter(self._scopes.get(event.task, ()), event.time)
            detail = self._add(event.task, parent=parent, moment=event.time)
            detail["execution"]["display_name"] = event.display_name
            # Cloud Logging files a step's output under the custom job that runs it.
            main_job = f"{names.location_name(self._job['name'])}/customJobs/{detail['task_id']}"
            detail["executor_detail"] = {"container_detail": {"main_job": main_job}}
            self._running[key] = detail
        elif event.kind == "run_failed":
            self.failure = event.error
        elif key in self._running:
            detail = self._running.pop(key)
            state = {"task_succeeded": "SUCCEEDED", "task_cached": "SKIPPED"}.get(
                event.kind, "FAILED"
            )
            self._set_outputs(detail, event.outputs)
            self._end(detail, state, event.time)
            if state == "FAILED":
                self.failed.append(event.task)
                self._failed_groups.update(self._scopes.get(event.task, ()))
                message = event.error or last_error(self._log_path)
                self.task_error = f"{event.task}: {message}"
                detail["error"] = ApiError(Status.INTERNAL, message).operation_error()

    def _enter(self, groups: tuple[str, ...], moment: float) -> Document:
        """Opens the groups that a task is in and returns the innermost; closes all others.

        Nothing but the rounds of one loop runs at the same time, so that the others are over.
        """
        for name in [name for name in self._groups if name not in groups]:
            state = "FAILED" if name in self._failed_groups else "SUCCEEDED"
            self._end(self._groups.pop(name), state, moment)
        parent = self._root
        for name in groups:
            if name not in self._groups:
                self._groups[name] = self._add(name, "system.Run", parent=parent, moment=moment)
            parent = self._groups[name]
        return parent

    def _add(
        self,
        name: str,
        schema_title: str = "system.ContainerExecution",
        *,
        parent: Document | None = None,
        moment: float | None = None,
    ) -> Document:
        begun = _time(moment)
        task_id = names.new_id()[:18]
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
                "create_time": begun,
                "metadata": {},
            },
        }
        if parent is not None:
            detail["parent_task_id"] = parent["task_id"]
        self._details.append(detail)
        return detail

    def _set_outputs(self, detail: Document, outputs: dict[str, Any]) -> None:
        for name, value in outputs.items():
            artifacts = value if isinstance(value, list) else [value]
            if artifacts and all(isinstance(item, dict) and "uri" in item for item in artifacts):
                detail.setdefault("outputs", {})[name] = {
                    "artifacts": [self._artifact(name, item) for item in artifacts]
                }
            else:
                detail["execution"]["metadata"][f"output:{name}"] = value

    def _artifact(self, name: str, artifact: Document) -> Document:
        return {
            "name": f"{metadata_store(self._job['name'])}/artifacts/{names.new_id()}",
            "display_name": name,
            "uri": self._remote_uri(artifact["uri"]),
            "metadata": artifact.get("metadata") or {},
            "schema_title": artifact.get("schema_title", "system.Artifact"),
            "schema_version": "0.0.1",
            "state": "LIVE",
            "create_time": names.timestamp(),
        }

    def _remote_uri(self, uri: str) -> str:
        """Returns the gs:// URI of an artifact that lies where the emulator keeps a bucket."""
        try:
            return f"gs://{Path(uri).relative_to(self._vertex.storage_folder)}"
        except ValueError:
            return uri

    def _end(self, detail: Document, state: str, moment: float) -> None:
        detail["state"] = state
        detail["end_time"] = _time(moment)
        detail["pipeline_task_status"].append({"update_time": _time(moment), "state": state})
        execution = {"SUCCEEDED": "COMPLETE", "SKIPPED": "CACHED"}.get(state, "FAILED")
        detail["execution"]["state"] = execution
        if state != "NOT_TRIGGERED":
            self._keep_lineage(detail)

    def _keep_lineage(self, detail: Document) -> None:
        """Puts a task and what it made into the metadata store, under the run's context."""
        context = run_context(self._job["name"])
        with self._vertex.store.transaction() as transaction:
            nodes = [("Execution", detail["execution"])]
            for output in detail.get("outputs", {}).values():
                nodes += [("Artifact", artifact) for artifact in output["artifacts"]]
            for kind, node in nodes:
                kept = {**node, "contexts_": [context], "etag": names.new_id()}
                transaction.put(kind, node["name"], kept)

    def _write(self) -> None:
        details = json.loads(json.dumps(self._details))
        self._vertex.jobs.update(
            PIPELINE,
            self._job["name"],
            job_detail={**self._job["job_detail"], "task_details": details},
        )


def _scopes(
    spec: Document, dag: Document, above: tuple[str, ...] = ()
) -> dict[str, tuple[str, ...]]:
    """Returns the conditions, loops and handlers around each task of a spec, outermost first."""
    found: dict[str, tuple[str, ...]] = {}
    for name, task in dag.get("tasks", {}).items():
        component = spec.get("components", {}).get(task["componentRef"]["name"], {})
        if "dag" in component:
            found |= _scopes(spec, component["dag"], (*above, name))
        else:
            found[name] = above
    return found


def _time(moment: float | None) -> str:
    return names.timestamp(None if moment is None else datetime.fromtimestamp(moment, UTC))
