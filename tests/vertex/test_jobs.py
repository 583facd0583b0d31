"""Runs and schedules of compiled pipelines, which localvertex executes."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from doctune.errors import PipelineError, UsageError
from doctune.vertex.jobs import Run, RunSettings, cancel, runs, status, submit
from doctune.vertex.run_logs import RunLog, jobs_of_tasks, read_entries, run_logs
from doctune.vertex.schedules import (
    create_schedule,
    delete_schedule,
    list_schedules,
    pause_schedule,
    resume_schedule,
)
from tests.waiting import wait_for

pytestmark = pytest.mark.usefixtures("vertex")


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from kfp import compiler, dsl

    @dsl.component(base_image="python:3.11", install_kfp_package=False)
    def work(seconds: float, fail: bool):
        import time

        time.sleep(seconds)
        if fail:
            raise ValueError("the work cannot be done")

    @dsl.pipeline(name="some-work")
    def some_work(seconds: float = 0.0, fail: bool = False):
        work(seconds=seconds, fail=fail).set_caching_options(False)

    path = tmp_path_factory.mktemp("spec") / "some_work.yaml"
    compiler.Compiler().compile(some_work, str(path))
    return path


def over(run: Run) -> Run:
    wait_for(lambda: status(run.job_id).is_over, 60)
    return status(run.name)


def test_a_run_is_submitted_and_read_back_with_its_steps(spec: Path, unique: str) -> None:
    run = submit(
        spec,
        {"seconds": 0.1},
        display_name=unique,
        settings=RunSettings(labels={"Team": "Docs & Co"}, failure_policy="fast"),
    )
    assert run.job_id.startswith("some-work-20")
    assert not run.is_over
    done = over(run)
    assert (done.state, done.pipeline, done.display_name) == ("succeeded", "some-work", unique)
    assert done.error == ""
    assert {task.name: task.state for task in done.tasks}["work"] == "succeeded"
    assert done.created <= done.started <= done.ended
    assert f"/pipelines/runs/{run.job_id}?project=" in done.console_url
    from google.cloud import aiplatform

    message = aiplatform.PipelineJob.get(run.job_id).gca_resource
    assert dict(message.labels) == {"team": "docs---co", "managed-by": "doctune"}
    assert message.runtime_config.failure_policy.name == "PIPELINE_FAILURE_POLICY_FAIL_FAST"
    assert runs(pipeline="some-work", limit=1)[0].name == run.name


def test_a_failed_run_says_why_in_one_line(spec: Path) -> None:
    failed = over(submit(spec, {"fail": True}))
    assert failed.state == "failed"
    assert "work" in failed.error
    assert "\n" not in failed.error
    (task,) = [task for task in failed.tasks if task.name == "work"]
    assert task.state == "failed"


def test_a_run_can_be_cancelled_and_one_that_is_over_stays_so(spec: Path) -> None:
    run = submit(spec, {"seconds": 60.0})
    assert not cancel(run.job_id).is_over
    assert over(run).state == "cancelled"
    assert cancel(run.job_id).state == "cancelled"
    assert status(run.job_id).state == "cancelled"


def test_two_runs_in_one_second_are_two_runs(spec: Path) -> None:
    first, second = submit(spec, {}), submit(spec, {})
    assert first.name != second.name
    assert {first.name, second.name} <= {run.name for run in runs(limit=5)}
    over(first)
    over(second)


def test_a_wrong_parameter_is_refused_before_anything_is_sent(spec: Path) -> None:
    before = runs(limit=1000)
    with pytest.raises(UsageError, match=r"secnds is unknown \(did you mean seconds"):
        submit(spec, {"secnds": 1})
    with pytest.raises(UsageError, match="cannot be submitted"):
        submit(spec, {}, job_id="Not An Id")
    assert runs(limit=1000) == before


def test_a_run_that_is_not_there_is_one_line_with_advice() -> None:
    for action in (status, cancel):
        with pytest.raises(PipelineError, match="Check the project, the location and the name"):
            action("some-work-of-nobody")


def test_a_schedule_is_created_updated_and_never_doubled(spec: Path, unique: str) -> None:
    first = create_schedule(
        unique, "0 3 * * *", spec, {"seconds": 0.0}, time_zone="Europe/Zurich", max_run_count=9
    )
    assert (first.cron, first.state) == ("TZ=Europe/Zurich 0 3 * * *", "active")
    assert first.next_run is not None
    assert first.next_run > datetime.now(UTC)
    second = create_schedule(unique, "30 4 * * 1", spec, {"seconds": 5.0, "fail": True})
    assert second.name == first.name
    assert second.cron == "TZ=Etc/UTC 30 4 * * 1"
    assert [s.display_name for s in list_schedules()].count(unique) == 1
    from google.cloud import aiplatform

    message = aiplatform.PipelineJobSchedule.get(first.name).gca_resource
    request = message.create_pipeline_job_request.pipeline_job
    assert dict(request.runtime_config.parameter_values) == {"seconds": 5.0, "fail": True}
    assert request.labels["managed-by"] == "doctune"
    assert message.max_run_count == 0
    delete_schedule(unique)


def test_a_schedule_is_paused_resumed_and_deleted_by_name(spec: Path, unique: str) -> None:
    create_schedule(unique, "0 3 * * *", spec, {})

    def state() -> str:
        return next(s.state for s in list_schedules() if s.display_name == unique)

    pause_schedule(unique)
    assert state() == "paused"
    resume_schedule(unique)
    assert state() == "active"
    delete_schedule(unique)
    assert unique not in {s.display_name for s in list_schedules()}
    for action in (pause_schedule, resume_schedule, delete_schedule):
        with pytest.raises(PipelineError, match="there is no schedule called"):
            action(unique)


@pytest.mark.parametrize(
    ("cron", "time_zone", "says"),
    [
        ("every day", "Etc/UTC", "is not a cron schedule"),
        ("0 3 * * *", "Europe/Zürich", "is not a time zone"),
        ("0 3 * * *", "../etc", "is not a time zone"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(spec, unique, cron, time_zone, says) -> None:
    with pytest.raises(UsageError, match=says):
        create_schedule(unique, cron, spec, {}, time_zone=time_zone)


@pytest.fixture
def cloud_logging(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict]]:
    """Answers entries:list as Cloud Logging documents it, two entries in two pages."""
    asked: list[dict] = []

    def answer(body: dict, path: str, token: str) -> dict:
        asked.append({**body, "path": path, "token": token})
        number = 2 if body.get("pageToken") else 1
        page = {"entries": [{"textPayload": f"line {number}\n"}]}
        return page if number == 2 else {**page, "nextPageToken": "more"}

    with logging_service(monkeypatch, answer):
        yield asked


@contextmanager
def logging_service(monkeypatch: pytest.MonkeyPatch, answer: Callable) -> Iterator[None]:
    """Stands in for Cloud Logging."""
    from doctune.vertex import run_logs as module

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            page = answer(body, self.path, self.headers["Authorization"])
            content = json.dumps(page).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(module, "_SERVICE", f"http://127.0.0.1:{server.server_port}")
        yield
        server.shutdown()


def test_log_entries_are_asked_for_by_job_and_read_page_by_page(cloud_logging: list[dict]) -> None:
    entries = list(read_entries(["7", "5"], since="2026-01-01T00:00:00Z"))
    assert [entry["textPayload"] for entry in entries] == ["line 1\n", "line 2\n"]
    first, second = cloud_logging
    assert first["path"] == "/v2/entries:list"
    assert first["token"].startswith("Bearer ")
    assert first["resourceNames"] == ["projects/doctune-test"]
    assert first["filter"] == (
        'resource.type="ml_job" AND resource.labels.job_id=("5" OR "7")'
        ' AND timestamp>="2026-01-01T00:00:00Z"'
    )
    assert second["pageToken"] == "more"


def test_entries_that_are_filed_late_are_read_and_none_is_read_twice(
    monkeypatch: pytest.MonkeyPatch, spec: Path
) -> None:
    run = over(submit(spec, {}))
    entries: list[dict] = []

    def file(text: str, second: str, number: str, minute: str = "00") -> None:
        entries.append(
            {
                "textPayload": text,
                "timestamp": f"2026-01-01T00:{minute}:{second}Z",
                "insertId": number,
                "logName": "projects/p/logs/workerpool0-0",
            }
        )

    def answer(body: dict, *_: str) -> dict:
        since = re.search(r'timestamp>="([^"]+)"', body["filter"])
        after = datetime.fromisoformat(since[1]) if since else datetime.min.replace(tzinfo=UTC)
        asked.append(since)
        return {"entries": [e for e in entries if datetime.fromisoformat(e["timestamp"]) >= after]}

    asked: list[object] = []
    with logging_service(monkeypatch, answer):
        log = RunLog(run.job_id)

        def read() -> list[str]:
            return [line.text for line in log.new_lines()]

        file("one", "10", "a")
        file("two", "20.5", "b")
        assert read() == ["one", "two"]
        # Written before the last line that was read, filed after it; at the same time as another,
        # with the same id as another.
        file("late", "15.25", "c")
        file("as late", "20.5", "d")
        file("two again", "20.500001", "b")
        assert read() == ["late", "as late", "two again"]
        assert read() == []
        assert asked[0] is None
        assert asked[2] is not None
        file("hours later", "00", "e", minute="50")
        assert read() == ["hours later"]
        assert read() == []
        assert len(log._seen) == 1  # what cannot come again is forgotten


def test_a_steps_jobs_are_those_that_ran_and_those_that_failed_before() -> None:
    from google.cloud.aiplatform_v1.types import PipelineTaskDetail

    detail = PipelineTaskDetail(
        task_name="work",
        executor_detail={
            "container_detail": {
                "main_job": "projects/1/locations/l/customJobs/7",
                "failed_main_jobs": ["projects/1/locations/l/customJobs/5"],
            }
        },
    )
    assert jobs_of_tasks([detail, PipelineTaskDetail(task_name="waits")]) == {
        "7": "work",
        "5": "work",
    }


def test_the_log_of_a_step_that_has_not_started_is_an_error(spec: Path) -> None:
    run = over(submit(spec, {}))
    with pytest.raises(PipelineError, match="has no step wrok"):
        list(run_logs(run.job_id, task="wrok"))
