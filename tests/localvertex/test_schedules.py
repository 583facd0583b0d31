"""Schedules of pipeline jobs; one that fires is in test_gcpc.py, which takes a minute anyway."""

from datetime import UTC, datetime, timedelta

import pytest
from google.api_core import exceptions

from doctune.localvertex.jobs import schedules as rules
from tests.localvertex.greeting import compile_greeting

NOON = datetime(2026, 3, 7, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    return compile_greeting(tmp_path_factory.mktemp("schedule"))


def create(aip, spec, unique, cron="0 3 * * *", **changes):
    job = aip.PipelineJob(
        display_name=f"scheduled-{unique}",
        template_path=str(spec),
        pipeline_root=f"gs://demo-bucket/{unique}",
        parameter_values={"name": "world"},
    )
    return job.create_schedule(cron=cron, display_name=f"nightly-{unique}", **changes)


def test_a_schedule_reads_back_what_was_given(aip, spec, unique):
    made = create(
        aip, spec, unique, cron="TZ=America/New_York 30 4 * * 1", max_run_count=5,
        max_concurrent_run_count=2, allow_queueing=True,
    )  # fmt: skip
    again = aip.PipelineJobSchedule.get(made.resource_name)
    assert again.display_name == f"nightly-{unique}"
    assert again.cron == "TZ=America/New_York 30 4 * * 1"
    assert (again.max_run_count, again.max_concurrent_run_count) == (5, 2)
    assert again.allow_queueing is True
    assert again.state.name == "ACTIVE"
    due = again._gca_resource.next_run_time
    assert due.weekday() == 0
    assert due > datetime.now(UTC)
    made.delete()


def test_pause_resume_update_and_delete(aip, spec, unique):
    schedule = create(aip, spec, unique)
    schedule.pause()
    assert schedule.state.name == "PAUSED"
    schedule._sync_gca_resource()
    assert not schedule._gca_resource.next_run_time
    schedule.resume(catch_up=False)
    assert schedule.state.name == "ACTIVE"
    schedule.update(display_name=f"weekly-{unique}", cron="0 3 * * 0", max_run_count=9)
    again = aip.PipelineJobSchedule.get(schedule.resource_name)
    assert (again.display_name, again.cron, again.max_run_count) == (
        f"weekly-{unique}",
        "0 3 * * 0",
        9,
    )
    listed = aip.PipelineJobSchedule.list(filter=f'display_name="weekly-{unique}"')
    assert [item.name for item in listed] == [schedule.name]
    schedule.delete()
    with pytest.raises(exceptions.NotFound):
        aip.PipelineJobSchedule.get(schedule.resource_name)


def test_a_start_that_is_taken_back_is_the_schedules_creation(aip, spec, unique):
    schedule = create(aip, spec, unique, start_time=(datetime.now(UTC) + timedelta(days=9)))
    change = schedule._gca_resource
    late = change.next_run_time
    change.start_time = None
    updated = schedule.api_client.update_schedule(
        schedule=change, update_mask={"paths": ["start_time"]}
    )
    assert updated.start_time == updated.create_time
    assert updated.next_run_time < late
    schedule.delete()


@pytest.mark.parametrize(
    ("cron", "reason"),
    [("* * *", "five fields"), ("61 * * * *", "Invalid cron"), ("TZ=Mars/Base 0 3 * * *", "Mars")],
)
def test_a_bad_cron_line_is_refused(aip, spec, unique, cron, reason):
    with pytest.raises(exceptions.BadRequest, match=reason):
        create(aip, spec, unique, cron=cron)


def test_a_schedule_with_bad_parameters_is_refused(aip, spec, unique):
    job = aip.PipelineJob(
        display_name="x", template_path=str(spec), pipeline_root="gs://demo-bucket/x"
    )
    with pytest.raises(exceptions.BadRequest, match="'name' of the pipeline is required"):
        job.create_schedule(cron="0 3 * * *", display_name="x")


def made(cron="0 * * * *", **changes):
    start = (NOON - timedelta(days=1)).isoformat()
    schedule = {"cron": cron, "start_time": start, "state": "ACTIVE", "started_run_count": "0"}
    schedule |= changes
    rules.set_next(schedule, NOON)
    return schedule


def due(schedule):
    return rules.parse_time(schedule["next_run_time"])


def test_the_next_run_is_in_the_time_zone_of_the_cron_line():
    assert due(made("30 14 * * *")) == NOON.replace(hour=14, minute=30)
    # New York is five hours behind on 7 March 2026, and four from 8 March on.
    assert due(made("TZ=America/New_York 30 14 * * *")) == NOON.replace(hour=19, minute=30)
    after = rules.next_time(made("CRON_TZ=America/New_York 30 14 * * *"), NOON + timedelta(days=1))
    assert after == datetime(2026, 3, 8, 18, 30, tzinfo=UTC)


def test_no_run_is_before_the_start():
    start = (NOON + timedelta(days=2)).isoformat()
    assert due(made(start_time=start)) == NOON + timedelta(days=2)


def test_a_schedule_completes_at_its_end():
    schedule = made(end_time=(NOON + timedelta(minutes=90)).isoformat())
    assert due(schedule) == NOON + timedelta(hours=1)
    rules.note_run(schedule, due(schedule), "OK", started=True)
    assert schedule["state"] == "COMPLETED"
    assert "next_run_time" not in schedule


def test_a_schedule_completes_after_its_last_run():
    schedule = made(max_run_count="2")
    for _ in range(2):
        assert schedule["state"] == "ACTIVE"
        rules.note_run(schedule, due(schedule), "OK", started=True)
    assert schedule["state"] == "COMPLETED"


def test_runs_that_were_skipped_do_not_count():
    schedule = made(max_run_count="1")
    rules.note_run(schedule, due(schedule), "SKIPPED", started=False)
    assert schedule["state"] == "ACTIVE"


def test_missed_runs_are_made_up_for_only_where_asked():
    late = NOON + timedelta(hours=5, minutes=1)
    forgetful, diligent = made(), made(catch_up=True)
    for schedule in (forgetful, diligent):
        rules.note_run(schedule, late, "OK", started=True)
    assert due(forgetful) == NOON + timedelta(hours=6)
    assert due(diligent) == NOON + timedelta(hours=2)


def test_as_many_runs_as_allowed_leave_no_room():
    assert rules.has_room({"max_concurrent_run_count": "2"}, 1)
    assert not rules.has_room({"max_concurrent_run_count": "2"}, 2)
    limits = {"max_concurrent_run_count": "5", "max_concurrent_active_run_count": "1"}
    assert not rules.has_room(limits, 1)
