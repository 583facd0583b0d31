"""Pipeline runs on Vertex AI: submit, get, cancel, list."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from doctune.errors import PipelineError, UsageError
from doctune.vertex.errors import google_errors
from doctune.vertex.labels import MANAGED_BY, clean_labels
from doctune.vertex.session import current_session
from doctune.vertex.specs import check_parameters, read_signature

if TYPE_CHECKING:
    from google.cloud import aiplatform
    from google.cloud.aiplatform_v1.types import PipelineTaskDetail

FailurePolicy = Literal["slow", "fast"]


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Settings of pipeline runs; an empty one is left to Vertex AI or to the spec."""

    service_account: str = ""
    network: str = ""  # projects/NUMBER/global/networks/NAME
    encryption_spec_key_name: str = ""
    enable_caching: bool | None = None
    failure_policy: FailurePolicy | None = None
    pipeline_root: str = ""  # gs://...; the session's staging bucket where empty
    labels: Mapping[str, str] | None = None


@dataclass(frozen=True)
class RunTask:
    """One step of a run."""

    name: str
    state: str  # "running", "succeeded", "failed", "skipped", ...
    started: datetime | None
    ended: datetime | None
    error: str  # one line; "" where there is none


@dataclass(frozen=True)
class Run:
    """A run of a pipeline."""

    name: str  # projects/.../pipelineJobs/ID
    job_id: str
    display_name: str
    pipeline: str
    state: str  # "pending", "running", "succeeded", "failed", "cancelled", ...
    created: datetime | None
    started: datetime | None
    ended: datetime | None
    error: str  # one line; "" where there is none
    console_url: str
    tasks: tuple[RunTask, ...] = ()

    @property
    def is_over(self) -> bool:
        """Whether the run has ended: succeeded, failed or cancelled."""
        return self.state in {"succeeded", "failed", "cancelled"}


def submit(
    spec: str | Path,
    parameters: Mapping[str, Any],
    *,
    display_name: str = "",
    job_id: str = "",
    settings: RunSettings | None = None,
) -> Run:
    """Checks the parameters against the spec, then starts a run and returns at once.

    Args:
        spec: A local file, a gs:// object, or a template in Artifact Registry.
        display_name: The pipeline's name where empty.
        job_id: Last part of the run's resource name; generated where empty, from the pipeline's
            name, the time and a random suffix.

    Raises:
        UsageError: The spec is not one, or a parameter does not fit it; nothing has been sent.
        PipelineError: Vertex AI refuses.
    """
    settings = settings or RunSettings()
    job = prepare_job(spec, parameters, display_name=display_name, job_id=job_id, settings=settings)
    with google_errors(f"submit {spec}", PipelineError):
        job.submit(
            service_account=settings.service_account or None, network=settings.network or None
        )
        return _run(job)


def prepare_job(
    spec: str | Path,
    parameters: Mapping[str, Any],
    *,
    display_name: str = "",
    job_id: str = "",
    settings: RunSettings,
) -> aiplatform.PipelineJob:
    """Returns a run whose parameters are checked, without submitting it.

    Raises:
        UsageError: The spec is not one, or a parameter or setting does not fit.
    """
    from google.cloud import aiplatform

    signature = read_signature(spec)
    checked = check_parameters(signature, parameters)
    # The SDK's own id has a resolution of one second: two runs would collide.
    job_id = job_id or f"{signature.pipeline}-{datetime.now():%Y%m%d%H%M%S}-{secrets.token_hex(2)}"
    root = settings.pipeline_root or f"{current_session().staging_bucket}/runs"
    try:
        with google_errors(f"prepare {spec}", PipelineError):
            return aiplatform.PipelineJob(
                display_name=display_name or signature.pipeline,
                template_path=str(spec),
                job_id=job_id,
                pipeline_root=root,
                parameter_values=checked,
                enable_caching=settings.enable_caching,
                encryption_spec_key_name=settings.encryption_spec_key_name or None,
                labels=run_labels(settings),
                failure_policy=settings.failure_policy,
            )
    except ValueError as error:
        raise UsageError(f"{spec} cannot be submitted: {' '.join(str(error).split())}") from error


def run_labels(settings: RunSettings) -> dict[str, str]:
    """Returns the labels of a run: those of the settings, and `managed-by`."""
    return clean_labels({**(settings.labels or {}), **MANAGED_BY})


def status(run: str) -> Run:
    """Returns the current state of a run, with its steps.

    Args:
        run: The job id, or the resource name.

    Raises:
        PipelineError: There is no such run.
    """
    with google_errors(f"read the run {run}", PipelineError):
        return _run(_get(run), with_tasks=True)


def cancel(run: str) -> Run:
    """Asks a run to stop; one that is over stays as it is.

    Returns:
        The run as it was before the request.

    Raises:
        PipelineError: There is no such run.
    """
    with google_errors(f"cancel the run {run}", PipelineError):
        job = _get(run)
        found = _run(job)
        if not found.is_over:
            job.cancel()
    return found


def runs(*, pipeline: str = "", limit: int = 20) -> list[Run]:
    """Returns the latest runs, newest first.

    Args:
        pipeline: Only runs of the pipeline of this name.

    Raises:
        PipelineError: They cannot be listed.
    """
    from google.cloud import aiplatform

    query = f'pipeline_name="{pipeline}"' if pipeline else None
    with google_errors("list the runs", PipelineError):
        found = aiplatform.PipelineJob.list(filter=query, order_by="create_time desc")
        return [_run(job) for job in found[:limit]]


def _get(run: str) -> aiplatform.PipelineJob:
    from google.cloud import aiplatform

    return aiplatform.PipelineJob.get(run)


def _run(job: aiplatform.PipelineJob, *, with_tasks: bool = False) -> Run:
    message = job.gca_resource
    info = dict(message.pipeline_spec or {}).get("pipelineInfo", {})
    details = message.job_detail.task_details if with_tasks else ()
    return Run(
        name=message.name,
        job_id=message.name.split("/")[-1],
        display_name=message.display_name,
        pipeline=str(dict(info).get("name", "")),
        state=_state(message.state.name, "PIPELINE_STATE_"),
        created=message.create_time,
        started=message.start_time,
        ended=message.end_time,
        error=_one_line(message.error.message),
        console_url=_console_url(message.name),
        tasks=tuple(_task(detail) for detail in details),
    )


def _task(detail: PipelineTaskDetail) -> RunTask:
    return RunTask(
        name=detail.task_name,
        state=_state(detail.state.name, ""),
        started=detail.start_time,
        ended=detail.end_time,
        error=_one_line(detail.error.message),
    )


def _state(name: str, prefix: str) -> str:
    return name.removeprefix(prefix).lower().replace("_", " ")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _console_url(name: str) -> str:
    _, project, _, location, _, job_id = name.split("/")
    return (
        f"https://console.cloud.google.com/vertex-ai/locations/{location}/pipelines/runs/{job_id}"
        f"?project={project}"
    )
