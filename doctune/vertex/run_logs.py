"""The logs of a run's steps, from Cloud Logging.

Each step of a run is a custom job, and Cloud Logging files a custom job's output under its id.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from doctune import limits
from doctune.errors import PipelineError
from doctune.vertex.errors import google_errors
from doctune.vertex.session import current_session

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1.types import PipelineTaskDetail

_SERVICE = "https://logging.googleapis.com"
_PAGE = 500
# How late an entry may arrive, after entries that were written later.
_OVERLAP = timedelta(minutes=3)


@dataclass(frozen=True)
class LogLine:
    """One entry of a step's log."""

    time: str  # RFC 3339
    severity: str
    task: str
    text: str


def run_logs(run: str, *, task: str = "") -> Iterator[LogLine]:
    """Yields the log lines of a run's steps, oldest first.

    Args:
        run: The job id, or the resource name.
        task: Only this step's lines.

    Raises:
        PipelineError: There is no such run or step, or its logs cannot be read.
    """
    yield from RunLog(run, task=task).new_lines()


class RunLog:
    """Follows the log of a run: each call of `new_lines` reads what was added."""

    def __init__(self, run: str, *, task: str = "") -> None:
        """
        Args:
            run: The job id, or the resource name.
            task: Only this step's lines.
        """
        self._run, self._task = run, task
        self._jobs: set[str] = set()
        self._latest: datetime | None = None
        self._seen: dict[tuple[str, ...], datetime] = {}  # of the last minutes

    def new_lines(self) -> Iterator[LogLine]:
        """Yields the lines that arrived since the last call, oldest first.

        Entries reach Cloud Logging late, and those of several machines out of order. So each call
        reads the last minutes again and drops the entries that it has seen, by id. The log of a
        step that started since the last call is read from its beginning.

        Raises:
            PipelineError: There is no such run or step, or its logs cannot be read.
        """
        with google_errors(f"read the logs of {self._run}", PipelineError):
            tasks = self._tasks()
            for entry in self._entries(set(tasks)):
                job = str(entry.get("resource", {}).get("labels", {}).get("job_id", ""))
                if self._is_new(entry, job):
                    yield LogLine(
                        time=str(entry.get("timestamp", "")),
                        severity=str(entry.get("severity", "DEFAULT")),
                        task=tasks.get(job, ""),
                        text=_text(entry),
                    )

    def _entries(self, jobs: set[str]) -> Iterator[dict[str, Any]]:
        """Yields the entries of known jobs since the last minutes, and all of new ones."""
        known, new = jobs & self._jobs, jobs - self._jobs
        streams = [read_entries(new)] if new else []
        if known and self._latest is None:
            streams.append(read_entries(known))
        elif known and self._latest is not None:
            since = self._latest - _OVERLAP
            self._seen = {key: moment for key, moment in self._seen.items() if moment >= since}
            streams.append(read_entries(known, since.isoformat(timespec="microseconds")))
        yield from heapq.merge(*streams, key=_moment)
        self._jobs |= jobs  # where the reading breaks off, it begins again

    def _tasks(self) -> dict[str, str]:
        """Returns the jobs to read: step names by job id."""
        from google.cloud import aiplatform

        run, task = self._run, self._task
        tasks = jobs_of_tasks(aiplatform.PipelineJob.get(run).task_details)
        if task and task not in tasks.values():
            known = ", ".join(sorted(set(tasks.values()))) or "none yet"
            raise PipelineError(f"{run} has no step {task} that has started: started are {known}.")
        return {job: name for job, name in tasks.items() if task in ("", name)}

    def _is_new(self, entry: dict[str, Any], job: str) -> bool:
        moment = _moment(entry)
        self._latest = max(self._latest or moment, moment)
        # Entries with equal log, time and id are duplicates.
        key = (
            job,
            str(entry.get("logName", "")),
            str(entry["timestamp"]),
            str(entry.get("insertId", "")),
        )
        if key in self._seen:
            return False
        self._seen[key] = moment
        return True


def _moment(entry: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(str(entry["timestamp"]))


def jobs_of_tasks(details: Iterable[PipelineTaskDetail]) -> dict[str, str]:
    """Returns the custom jobs of a run's steps: step names by job id."""
    jobs = {}
    for detail in details:
        container = detail.executor_detail.container_detail
        for name in (container.main_job, *container.failed_main_jobs):
            if name:
                jobs[name.split("/")[-1]] = detail.task_name
    return jobs


def read_entries(jobs: Iterable[str], since: str = "") -> Iterator[dict[str, Any]]:
    """Yields Cloud Logging's entries of custom jobs, oldest first.

    Raises:
        requests.HTTPError, google.auth.exceptions.GoogleAuthError: They cannot be read.
    """
    from google.auth.transport.requests import AuthorizedSession

    session = current_session()
    client = AuthorizedSession(session.credentials)
    body: dict[str, Any] = {
        "resourceNames": [f"projects/{session.project}"],
        "filter": _filter(sorted(jobs), since),
        "orderBy": "timestamp asc",
        "pageSize": _PAGE,
    }
    while True:
        answer = client.post(
            f"{_SERVICE}/v2/entries:list", json=body, timeout=limits.REQUEST.seconds
        )
        answer.raise_for_status()
        page = answer.json()
        yield from page.get("entries", [])
        if not page.get("nextPageToken"):
            return
        body["pageToken"] = page["nextPageToken"]


def _filter(jobs: list[str], since: str) -> str:
    ids = " OR ".join(f'"{job}"' for job in jobs)
    query = f'resource.type="ml_job" AND resource.labels.job_id=({ids})'
    return f'{query} AND timestamp>="{since}"' if since else query


def _text(entry: dict[str, Any]) -> str:
    payload = entry.get("jsonPayload")
    if isinstance(payload, dict):
        return str(payload.get("message", payload))
    return str(entry.get("textPayload", "")).rstrip("\n")
