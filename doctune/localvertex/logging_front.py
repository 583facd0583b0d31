"""Cloud Logging's `entries.list`, over the log files of jobs and of the steps of pipeline jobs.

On Vertex AI each step of a pipeline job is a custom job, and its output is filed under that job's
id. Here the steps of a run share one file, in which the runner says where each begins; where steps
ran at the same time, a line counts as written by the one that began last.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiohttp import web

from doctune.localvertex import names
from doctune.localvertex.api.codec import Document
from doctune.localvertex.api.errors import ApiError, Status, invalid
from doctune.localvertex.jobs.task_details import PIPELINE
from doctune.localvertex.vertex import Vertex

HOST = "logging.googleapis.com"

_ROUTE = "/v2/entries:list"
_JOB_IDS = re.compile(r"resource\.labels\.job_id\s*=\s*(?:\((?P<many>[^)]*)\)|\"(?P<one>[^\"]*)\")")
_SINCE = re.compile(r'timestamp\s*(?P<operator>>=?)\s*"(?P<time>[^"]+)"')
_TYPE = re.compile(r'resource\.type\s*=\s*"ml_job"')
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_BEGINS = re.compile(r"Executing task '(?P<task>[^']+)'")
_CLOCK = re.compile(r"^(?P<time>\d\d:\d\d:\d\d\.\d{3}) - ")
_DATED = re.compile(r"(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) (?P<severity>[A-Z]+)\]")
_SEVERITIES = {"WARN": "WARNING", "FATAL": "CRITICAL"}
_MOMENT = timedelta(microseconds=1)


async def answer(vertex: Vertex, request: web.Request) -> web.Response:
    """Answers one request to Cloud Logging; errors have Google's shape."""
    try:
        if (request.method, request.path) != ("POST", _ROUTE):
            raise ApiError(
                Status.UNIMPLEMENTED, f"{request.method} {request.path} is not implemented here."
            )
        return web.json_response(_list(vertex, await request.json()))
    except ApiError as error:
        return web.json_response(error.rest_body(), status=error.status.http_code)
    except ValueError as error:
        refusal = invalid(f"Invalid JSON payload received. {error}")
        return web.json_response(refusal.rest_body(), status=refusal.status.http_code)


def _list(vertex: Vertex, body: Document) -> Document:
    jobs, since, inclusive = _parse_filter(str(body.get("filter", "")))
    entries = [
        entry
        for entry in _entries(vertex, jobs)
        if not since or entry["timestamp"] > since or (inclusive and entry["timestamp"] == since)
    ]
    newest_first = str(body.get("orderBy", "")).endswith("desc")
    entries.sort(key=lambda entry: entry["timestamp"], reverse=newest_first)
    size = int(body.get("pageSize") or 50)
    start = int(body.get("pageToken") or 0)
    page: Document = {"entries": entries[start : start + size]}
    if start + size < len(entries):
        page["nextPageToken"] = str(start + size)
    return page


def _parse_filter(text: str) -> tuple[set[str], str, bool]:
    jobs = _JOB_IDS.search(text)
    since = _SINCE.search(text)
    rest = _SINCE.sub("", _JOB_IDS.sub("", _TYPE.sub("", text)))
    if jobs is None or re.sub(r"\bAND\b", "", rest).strip():
        raise invalid(
            "here logs are filtered by resource.type, resource.labels.job_id and timestamp alone, "
            f"joined by AND; not by {text!r}."
        )
    ids = {jobs["one"]} if jobs["one"] else set(re.findall(r'"([^"]+)"', jobs["many"] or ""))
    if since is None:
        return ids, "", False
    return ids, since["time"], since["operator"] == ">="


def _entries(vertex: Vertex, jobs: set[str]) -> Iterator[Document]:
    with vertex.store.transaction() as transaction:
        pipelines = transaction.list(PIPELINE.kind)
    wanted = set(jobs)
    for job in pipelines:
        steps = _steps(job)
        mine = {step for ids in steps.values() for step in ids} & wanted
        if mine:
            wanted -= mine
            path = vertex.log_path("pipelines", f"{names.identifier(job['name'])}.log")
            for step, entry in _of_pipeline(path, steps, job["create_time"]):
                if step in mine:
                    yield _entry(vertex, step, entry)
    for job_id in sorted(wanted):
        folder = vertex.log_path("jobs", names.identifier(job_id))
        for path in sorted(folder.rglob("*.log")):
            started = datetime.fromtimestamp(path.stat().st_ctime, UTC).isoformat()
            for line in _timed(path, started):
                yield _entry(vertex, job_id, line)


def _steps(job: Document) -> dict[str, list[str]]:
    """Returns the ids of the steps' custom jobs, by step name."""
    steps: dict[str, list[str]] = {}
    for detail in job.get("job_detail", {}).get("task_details", ()):
        container = detail.get("executor_detail", {}).get("container_detail", {})
        if name := container.get("main_job"):
            steps.setdefault(detail["task_name"], []).append(names.identifier(name))
    return steps


def _of_pipeline(
    path: Path, steps: dict[str, list[str]], created: str
) -> Iterator[tuple[str, Document]]:
    waiting = {name: list(ids) for name, ids in steps.items()}
    current = ""
    for line in _timed(path, created):
        if begins := _BEGINS.search(line["textPayload"]):
            ids = waiting.get(begins["task"])
            current = ids.pop(0) if ids else ""
        if current:
            yield current, line


def _timed(path: Path, started: str) -> Iterator[Document]:
    """Yields the lines of a log, each at a time of its own: what it says, or just after the last.

    A reader that goes on after the last time that it has seen misses no line and sees none twice.
    """
    latest = datetime.fromisoformat(started.replace("Z", "+00:00")).astimezone()
    severity = "DEFAULT"
    for number, line in enumerate(_lines(path)):
        said, severity = _said(line, latest, severity)
        latest = max(said, latest + _MOMENT)
        yield {
            "timestamp": latest.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z",
            "severity": severity,
            "textPayload": line,
            "insertId": f"{path.stem}-{number}",
        }


def _lines(path: Path) -> Iterable[str]:
    try:
        file = path.open(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return
    with file:  # not str.splitlines, which would split a JSON entry at U+2028
        for line in file:
            if plain := _COLOURS.sub("", line).rstrip():
                yield plain


def _said(line: str, latest: datetime, severity: str) -> tuple[datetime, str]:
    """Returns a line's time and severity, or else those of the previous line."""
    if dated := _DATED.search(line):
        moment = datetime.strptime(dated["time"], "%Y-%m-%d %H:%M:%S,%f").astimezone()
        return moment, _SEVERITIES.get(dated["severity"], dated["severity"])
    if clock := _CLOCK.match(line):
        at = datetime.strptime(clock["time"], "%H:%M:%S.%f").time()
        moment = datetime.combine(latest.date(), at).astimezone()
        if latest - moment > timedelta(hours=12):
            moment += timedelta(days=1)
        return moment, "INFO"
    return latest, severity


def _entry(vertex: Vertex, job_id: str, line: Document) -> Document:
    return {
        "logName": f"projects/{vertex.config.project}/logs/workerpool0-0",
        "resource": {
            "type": "ml_job",
            "labels": {
                "job_id": job_id,
                "project_id": vertex.config.project,
                "task_name": "workerpool0-0",
            },
        },
        **line,
    }
