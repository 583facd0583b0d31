"""PipelineJobs: runs the compiled spec with doctune's runner, in a separate process.

The runner has the buckets under /gcs as its steps do, and writes their outputs there. Its events
become the task details that Vertex reports while a job runs.
"""

import asyncio
import re
import sys
from collections.abc import Mapping

from doctune.digests import digest_value
from doctune.files import write_json
from doctune.localvertex import names
from doctune.localvertex.api.codec import Document
from doctune.localvertex.api.errors import Status, invalid
from doctune.localvertex.jobs.processes import exit_reason, run_program
from doctune.localvertex.jobs.task_details import TaskDetails
from doctune.localvertex.objects import split_uri
from doctune.localvertex.programs import container_environment
from doctune.localvertex.tracker import JobFailedError
from doctune.localvertex.vertex import Vertex
from doctune.runner.events import EventReader
from doctune.runner.parameters import ParameterError, check_parameters

_WORKER = "doctune.runner.worker"
_FAIL_FAST = "PIPELINE_FAILURE_POLICY_FAIL_FAST"
_POLL_SECONDS = 0.2
_BAD_ARGUMENTS = 2
_JOB_ID = re.compile(r"[a-z][-a-z0-9]{0,127}")


def check_pipeline_job(job: Document, job_id: str) -> None:
    """Raises if a job is invalid, as Vertex AI does: its spec, pipeline root or parameters.

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
    try:
        check_parameters(spec, runtime.get("parameter_values", {}))
    except ParameterError as error:
        raise invalid(str(error)) from error


async def run_pipeline_job(vertex: Vertex, job: Document) -> Document:
    """Runs a pipeline; returns the fields to set on the job.

    Raises:
        JobFailedError: A task failed, with its error.
    """
    job_id = names.identifier(job["name"])
    log_path = vertex.log_path("pipelines", f"{job_id}.log")
    folder = vertex.config.state_dir / "pipelines" / job_id
    root = job["runtime_config"]["gcs_output_directory"]
    bucket, _ = split_uri(root)
    if not (vertex.storage_folder / bucket).is_dir():
        raise JobFailedError(
            f"The bucket {bucket} of the pipeline root {root} does not exist.", Status.NOT_FOUND
        )
    command = _command(vertex, job)
    environment = container_environment(
        vertex.environment_of(job["name"]), {"CLOUD_ML_JOB_ID": job_id}
    )
    tasks = TaskDetails(vertex, job)
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
    if code == 0 and tasks.succeeded:
        tasks.close("SUCCEEDED")
        return {}
    tasks.close("FAILED")
    reason = tasks.failure or exit_reason(code, log_path)
    if code == _BAD_ARGUMENTS:
        raise JobFailedError(reason, Status.INVALID_ARGUMENT)
    failed = ", ".join(tasks.failed) or "none, the pipeline's runner itself ended"
    raise JobFailedError(
        f"The DAG failed because some tasks failed. The failed tasks are: [{failed}]. {reason}",
        Status.FAILED_PRECONDITION,
    )


def _command(vertex: Vertex, job: Document) -> list[str]:
    """Writes the runner's input files, and returns its command line."""
    job_id = names.identifier(job["name"])
    folder = vertex.config.state_dir / "pipelines" / job_id
    runtime: Mapping[str, Document] = job["runtime_config"]
    root = str(runtime["gcs_output_directory"])
    write_json(folder / "spec.yaml", dict(job["pipeline_spec"]))  # JSON is YAML
    write_json(folder / "arguments.json", runtime.get("parameter_values", {}))
    write_json(folder / "programs.json", vertex.programs)
    options = [
        *("--programs", str(folder / "programs.json"), "--storage", str(vertex.storage_folder)),
        *("--spec", str(folder / "spec.yaml"), "--arguments", str(folder / "arguments.json")),
        *("--folder", str(folder), "--pipeline-root", root),
        *("--job-name", job["name"], "--project-number", names.project(job["name"])),
        # Outside the bucket, where a file that is not an object would break listings.
        *("--cache-root", str(folder.parent / ".cache" / digest_value(root.rstrip("/")))),
    ]
    if runtime.get("failure_policy") == _FAIL_FAST:
        options.append("--fail-fast")
    if vertex.config.refuse_folder_renames:
        options.append("--refuse-folder-renames")
    return [*vertex.mounting, sys.executable, "-m", _WORKER, *options]
