"""ScheduleService: schedules of pipeline jobs, including their runs."""

import asyncio
import logging
from datetime import UTC, datetime

from doctune.localvertex import names
from doctune.localvertex.api.codec import Document
from doctune.localvertex.api.errors import ApiError, invalid, precondition
from doctune.localvertex.api.masks import apply_mask
from doctune.localvertex.dispatch import Call, handles
from doctune.localvertex.jobs import schedules
from doctune.localvertex.jobs.pipelines import check_pipeline_job
from doctune.localvertex.jobs.task_details import PIPELINE
from doctune.localvertex.services import resources
from doctune.localvertex.services.pipelines import start_pipeline_job
from doctune.localvertex.store import Transaction
from doctune.localvertex.vertex import Vertex

KIND = "Schedule"

_TICK_SECONDS = 1.0
_MUTABLE = frozenset(
    {
        "display_name",
        "cron",
        "start_time",
        "end_time",
        "max_run_count",
        "allow_queueing",
        "max_concurrent_run_count",
        "max_concurrent_active_run_count",
        "create_pipeline_job_request",
    }
)

logger = logging.getLogger("doctune.localvertex")


@handles("ScheduleService.CreateSchedule")
def create_schedule(call: Call, request: Document) -> Document:
    """Creates a schedule; its first run is the first that its cron line has from now on."""
    given = request.get("schedule", {})
    resources.check_display_name(given)
    if "create_pipeline_job_request" not in given:
        raise invalid("schedule.create_pipeline_job_request is required.")
    if int(given.get("max_concurrent_run_count", 0)) < 1:
        raise invalid("schedule.max_concurrent_run_count must be at least 1.")
    schedule = resources.stamp(given, call.type(KIND))
    schedule |= {
        "name": f"{request['parent']}/schedules/{names.new_id()}",
        "state": schedules.ACTIVE,
        "started_run_count": "0",
    }
    _check(schedule)
    schedules.set_next(schedule, datetime.now(UTC))
    call.transaction.put(KIND, schedule["name"], schedule)
    return schedule


def _check(schedule: Document) -> None:
    """Settles and checks a schedule that was created or changed."""
    schedule.setdefault("start_time", schedule["create_time"])
    check_pipeline_job(schedule["create_pipeline_job_request"].get("pipeline_job", {}), "")
    end = schedule.get("end_time")
    if end and schedules.parse_time(end) <= schedules.parse_time(schedule["start_time"]):
        raise invalid("schedule.end_time must be after start_time.")


@handles("ScheduleService.GetSchedule")
def get_schedule(call: Call, request: Document) -> Document:
    """Returns a schedule."""
    return call.transaction.get(KIND, request["name"])


@handles("ScheduleService.ListSchedules")
def list_schedules(call: Call, request: Document) -> Document:
    """Lists the schedules of a location."""
    found = call.transaction.list(KIND, parent=request["parent"])
    return resources.list_response(call, request, "schedules", KIND, found)


@handles("ScheduleService.UpdateSchedule")
def update_schedule(call: Call, request: Document) -> Document:
    """Changes a schedule; a new cron line counts from now."""
    change = request.get("schedule", {})
    name = call.vertex.projects.canonical(change.get("name", ""))
    current = call.transaction.get(KIND, name)
    if current["state"] == schedules.COMPLETED:
        raise precondition(f"Schedule {name} is completed and cannot be changed.")
    updated = apply_mask(current, change, request.get("update_mask", []), call.type(KIND), _MUTABLE)
    _check(updated)
    updated["update_time"] = names.timestamp()
    if updated["state"] == schedules.ACTIVE:
        schedules.set_next(updated, datetime.now(UTC))
    else:
        schedules.next_time(updated, datetime.now(UTC))
    call.transaction.put(KIND, name, updated)
    return updated


@handles("ScheduleService.PauseSchedule")
def pause_schedule(call: Call, request: Document) -> Document:
    """Stops new runs; those that run go on."""
    schedule = call.transaction.get(KIND, request["name"])
    if schedule["state"] != schedules.ACTIVE:
        raise precondition(f"Schedule {schedule['name']} is {schedule['state']}, not ACTIVE.")
    schedule |= {"state": schedules.PAUSED, "last_pause_time": names.timestamp()}
    schedule.pop("next_run_time", None)
    call.transaction.put(KIND, schedule["name"], schedule)
    return {}


@handles("ScheduleService.ResumeSchedule")
def resume_schedule(call: Call, request: Document) -> Document:
    """Starts new runs again; with catch_up those missed while it was paused are made up for."""
    schedule = call.transaction.get(KIND, request["name"])
    if schedule["state"] != schedules.PAUSED:
        raise precondition(f"Schedule {schedule['name']} is {schedule['state']}, not PAUSED.")
    catch_up = bool(request.get("catch_up"))
    since = schedules.parse_time(schedule["last_pause_time"]) if catch_up else datetime.now(UTC)
    schedule |= {
        "state": schedules.ACTIVE,
        "last_resume_time": names.timestamp(),
        "catch_up": catch_up,
    }
    schedules.set_next(schedule, since)
    call.transaction.put(KIND, schedule["name"], schedule)
    return {}


@handles("ScheduleService.DeleteSchedule")
def delete_schedule(call: Call, request: Document) -> Document:
    """Deletes a schedule; runs that it started go on."""
    call.transaction.delete(KIND, request["name"])
    return call.finished(names.location_name(request["name"]), {})


async def keep_firing(vertex: Vertex) -> None:
    """Starts what is due, once a second; never returns."""
    with vertex.store.transaction() as transaction:
        _forget_missed(transaction)
    while True:
        await asyncio.sleep(_TICK_SECONDS)
        fire_due(vertex, datetime.now(UTC))


def _forget_missed(transaction: Transaction) -> None:
    """Runs that were due while no server ran are not made up for."""
    now = datetime.now(UTC)
    for schedule in transaction.list(KIND):
        if schedules.is_due(schedule, now) and not schedule.get("catch_up"):
            schedules.set_next(schedule, now)
            transaction.put(KIND, schedule["name"], schedule)


def fire_due(vertex: Vertex, now: datetime) -> None:
    """Starts the runs that are due at a time."""
    with vertex.store.transaction() as transaction:
        due = [s for s in transaction.list(KIND) if schedules.is_due(s, now)]
        for schedule in due:
            _fire(vertex, transaction, schedule, now)


def _fire(vertex: Vertex, transaction: Transaction, schedule: Document, now: datetime) -> None:
    active = sum(
        job.get("schedule_name") == schedule["name"] and not PIPELINE.is_over(job)
        for job in transaction.list(PIPELINE.kind)
    )
    if not schedules.has_room(schedule, active):
        if schedule.get("allow_queueing"):
            return  # it stays due, and starts when another run has ended
        response = f"SKIPPED: {active} runs are active, as many as may be."
        schedules.note_run(schedule, now, response, started=False)
    else:
        try:
            job = _start_run(vertex, transaction, schedule, now)
            schedules.note_run(schedule, now, f"OK: {job['name']}", started=True)
        except ApiError as error:
            logger.warning("%s could not start a run: %s", schedule["name"], error.message)
            schedules.note_run(schedule, now, f"ERROR: {error.message}", started=False)
    transaction.put(KIND, schedule["name"], schedule)


def _start_run(
    vertex: Vertex, transaction: Transaction, schedule: Document, now: datetime
) -> Document:
    request = schedule["create_pipeline_job_request"]
    given = {**request.get("pipeline_job", {}), "schedule_name": schedule["name"]}
    given.setdefault("display_name", schedule["display_name"])
    info = given["pipeline_spec"].get("pipelineInfo", {}).get("name", "pipeline")
    job_id = f"{info}-{now:%Y%m%d%H%M%S}-{names.new_id()[:6]}"
    return start_pipeline_job(
        vertex, transaction, names.location_name(schedule["name"]), given, job_id
    )
