"""Logic of schedules: when a pipeline job is due, and the limit of concurrent runs.

Everything here is a function of the schedule, the time and the number of its active runs; the
service applies it once a second.
"""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from doctune.localvertex.api.codec import Document
from doctune.localvertex.api.errors import invalid
from doctune.localvertex.names import timestamp

ACTIVE, PAUSED, COMPLETED = "ACTIVE", "PAUSED", "COMPLETED"


def parse_time(text: str) -> datetime:
    """Parses a document's time."""
    return datetime.fromisoformat(text).astimezone(UTC)


def split_cron(text: str) -> tuple[str, ZoneInfo]:
    """Returns the five fields of a cron line, and its time zone (UTC by default).

    Raises:
        ApiError: INVALID_ARGUMENT.
    """
    zone = "UTC"
    first, _, rest = text.strip().partition(" ")
    if first.startswith(("TZ=", "CRON_TZ=")):
        zone, text = first.partition("=")[2], rest
    if len(text.split()) != 5:
        raise invalid(f"Invalid cron {text!r}: five fields are expected.")
    try:
        return text.strip(), ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise invalid(f"Invalid time zone {zone!r} in cron.") from error


def next_time(schedule: Document, after: datetime) -> datetime | None:
    """Returns when a schedule is due next, after `after`; None if never.

    Raises:
        ApiError: INVALID_ARGUMENT for a bad cron line.
    """
    fields, zone = split_cron(schedule.get("cron", ""))
    start = parse_time(schedule["start_time"])
    # A run may be due exactly at the start, but cronsim's first time is always later.
    since = max(after, start.replace(microsecond=0))
    if since == start.replace(microsecond=0) and since != after:
        since = datetime.fromtimestamp(since.timestamp() - 1, UTC)
    try:
        due = next(CronSim(fields, since.astimezone(zone))).astimezone(UTC)
    except CronSimError as error:
        raise invalid(f"Invalid cron {fields!r}: {error}.") from error
    except StopIteration:
        return None
    end = schedule.get("end_time")
    return None if end and due >= parse_time(end) else due


def set_next(schedule: Document, after: datetime) -> None:
    """Sets a schedule's next run time, or marks it as completed."""
    limit = int(schedule.get("max_run_count", 0))
    due = next_time(schedule, after)
    if due is None or (limit and int(schedule.get("started_run_count", 0)) >= limit):
        schedule["state"] = COMPLETED
        schedule.pop("next_run_time", None)
    else:
        schedule["next_run_time"] = timestamp(due)


def is_due(schedule: Document, now: datetime) -> bool:
    """Whether a run of a schedule is due."""
    due = schedule.get("next_run_time")
    return schedule.get("state") == ACTIVE and due is not None and parse_time(due) <= now


def has_room(schedule: Document, active_runs: int) -> bool:
    """Whether one more run may start."""
    limits = [
        int(schedule.get(field, 0))
        for field in ("max_concurrent_run_count", "max_concurrent_active_run_count")
    ]
    return all(active_runs < limit for limit in limits if limit)


def note_run(schedule: Document, now: datetime, response: str, *, started: bool) -> None:
    """Records the result of a due run, and sets the next run time."""
    scheduled = schedule["next_run_time"]
    schedule["last_scheduled_run_response"] = {
        "scheduled_run_time": scheduled,
        "run_response": response,
    }
    if started:
        schedule["started_run_count"] = str(int(schedule.get("started_run_count", 0)) + 1)
    # Missed runs are caught up only if the schedule was resumed with catch_up.
    set_next(schedule, parse_time(scheduled) if schedule.get("catch_up") else now)
