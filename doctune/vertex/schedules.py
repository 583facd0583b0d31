"""Schedules of pipeline runs, created or updated by display name, so never duplicated."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from doctune.errors import PipelineError, UsageError
from doctune.vertex.errors import google_errors
from doctune.vertex.jobs import RunSettings, prepare_job, run_labels
from doctune.vertex.labels import filter_by_name

if TYPE_CHECKING:
    from google.cloud import aiplatform
    from google.cloud.aiplatform_v1.types import Schedule as ScheduleMessage

# The fields that an update replaces; runs that have started are not affected.
_UPDATED = (
    "cron",
    "end_time",
    "max_run_count",
    "max_concurrent_run_count",
    "allow_queueing",
    "create_pipeline_job_request",
)

logger = logging.getLogger("doctune.vertex")


@dataclass(frozen=True)
class Schedule:
    """A schedule in Vertex AI."""

    name: str  # projects/.../schedules/ID
    display_name: str
    cron: str  # with its time zone: TZ=Europe/Zurich 0 3 * * 1
    state: str  # "active", "paused" or "completed"
    next_run: datetime | None
    started_runs: int


def create_schedule(
    display_name: str,
    cron: str,
    spec: str | Path,
    parameters: Mapping[str, Any],
    *,
    time_zone: str = "Etc/UTC",
    start_time: str = "",
    end_time: str = "",
    max_run_count: int | None = None,
    max_concurrent_run_count: int = 1,
    allow_queueing: bool = False,
    settings: RunSettings | None = None,
) -> Schedule:
    """Creates a schedule, or updates the one of the same display name.

    Args:
        cron: Five fields: minute, hour, day of month, month, day of week.
        time_zone: Its IANA name; the cron fields are read in it.
        start_time: RFC 3339; where empty, when it was created.
        end_time: RFC 3339; never where empty.
        max_run_count: Runs in all; None for no limit.
        allow_queueing: Whether a run waits for the previous one instead of being skipped.

    Raises:
        UsageError: The spec, a parameter, the cron fields or the time zone are wrong.
        PipelineError: Vertex AI refuses.
    """
    from google.protobuf import field_mask_pb2

    settings = settings or RunSettings()
    wanted = _message(display_name, _cron_line(cron, time_zone), spec, parameters, settings)
    wanted.max_concurrent_run_count = max_concurrent_run_count
    wanted.allow_queueing = allow_queueing
    if max_run_count:
        wanted.max_run_count = max_run_count
    if start_time:
        wanted.start_time = start_time
    if end_time:
        wanted.end_time = end_time
    existing = _find(display_name)
    with google_errors(f"create the schedule {display_name}", PipelineError):
        if existing is None:
            parent = wanted.create_pipeline_job_request.parent
            return _schedule(_client().create_schedule(parent=parent, schedule=wanted))
        wanted.name = existing.resource_name
        mask = field_mask_pb2.FieldMask(paths=[*_UPDATED, *(["start_time"] if start_time else [])])
        return _schedule(_client().update_schedule(schedule=wanted, update_mask=mask))


def list_schedules() -> list[Schedule]:
    """Returns all schedules of the location, by name.

    Raises:
        PipelineError: They cannot be listed.
    """
    from google.cloud import aiplatform

    with google_errors("list the schedules", PipelineError):
        found = [_schedule(item.gca_resource) for item in aiplatform.PipelineJobSchedule.list()]
    return sorted(found, key=lambda schedule: schedule.display_name)


def pause_schedule(display_name: str) -> None:
    """Stops a schedule from starting runs until it is resumed.

    Raises:
        PipelineError: There is no such schedule.
    """
    with google_errors(f"pause the schedule {display_name}", PipelineError):
        _get(display_name).pause()


def resume_schedule(display_name: str) -> None:
    """Lets a paused schedule start runs again; missed runs are not caught up.

    Raises:
        PipelineError: There is no such schedule.
    """
    with google_errors(f"resume the schedule {display_name}", PipelineError):
        _get(display_name).resume()


def delete_schedule(display_name: str) -> None:
    """Deletes a schedule; its runs stay.

    Raises:
        PipelineError: There is no such schedule.
    """
    with google_errors(f"delete the schedule {display_name}", PipelineError):
        _get(display_name).delete()


def _cron_line(cron: str, time_zone: str) -> str:
    if len(cron.split()) != 5:
        raise UsageError(
            f"{cron!r} is not a cron schedule: write minute, hour, day of month, month and day of "
            "week, such as '0 3 * * 1' for Mondays at three."
        )
    try:
        ZoneInfo(time_zone)
    except (KeyError, ValueError, OSError) as error:
        raise UsageError(
            f"{time_zone!r} is not a time zone: give its IANA name, such as Europe/Zurich."
        ) from error
    return f"TZ={time_zone} {' '.join(cron.split())}"


def _get(display_name: str) -> aiplatform.PipelineJobSchedule:
    found = _find(display_name)
    if found is None:
        raise PipelineError(
            f"there is no schedule called {display_name}: `doctune schedule list` lists them."
        )
    return found


def _find(display_name: str) -> aiplatform.PipelineJobSchedule | None:
    from google.cloud import aiplatform

    with google_errors("list the schedules", PipelineError):
        found = aiplatform.PipelineJobSchedule.list(filter=filter_by_name(display_name))
    if len(found) > 1:
        logger.warning("%d schedules are called %s; using the oldest", len(found), display_name)
    return min(found, key=lambda item: item.create_time, default=None)


def _client() -> Any:
    from google.cloud.aiplatform import initializer, utils

    return initializer.global_config.create_client(client_class=utils.ScheduleClientWithOverride)


def _message(
    display_name: str,
    cron: str,
    spec: str | Path,
    parameters: Mapping[str, Any],
    settings: RunSettings,
) -> ScheduleMessage:
    """Returns the schedule as an API message. The SDK's own update cannot change the run."""
    from google.cloud.aiplatform import initializer
    from google.cloud.aiplatform_v1 import types

    prepared = prepare_job(spec, parameters, display_name=display_name, settings=settings)
    job = types.PipelineJob(
        display_name=display_name,
        pipeline_spec=prepared.pipeline_spec,
        runtime_config=prepared.runtime_config,
        labels=run_labels(settings),
        service_account=settings.service_account,
        network=settings.network,
        encryption_spec=initializer.global_config.get_encryption_spec(
            settings.encryption_spec_key_name or None
        ),
        template_uri=str(spec) if str(spec).startswith("https://") else "",
    )
    return types.Schedule(
        display_name=display_name,
        cron=cron,
        create_pipeline_job_request=types.CreatePipelineJobRequest(
            parent=initializer.global_config.common_location_path(), pipeline_job=job
        ),
    )


def _schedule(message: ScheduleMessage) -> Schedule:
    return Schedule(
        name=message.name,
        display_name=message.display_name,
        cron=message.cron,
        state=message.state.name.lower(),
        next_run=message.next_run_time,
        started_runs=int(message.started_run_count),
    )
