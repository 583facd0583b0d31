import json
import uuid

import pytest
from google.api_core import exceptions

from tests.waiting import wait_for

TRANSPORTS = ("grpc",)
OVER = ("PIPELINE_STATE_SUCCEEDED", "PIPELINE_STATE_FAILED", "PIPELINE_STATE_CANCELLED")


@pytest.fixture(scope="module")
def specs(tmp_path_factory):
    """Compiled pipelines: a good one, one that fails, one that waits."""
    from kfp import compiler, dsl

    @dsl.component(base_image="python:3.11", install_kfp_package=False)
    def write(text: str, times: int, note: dsl.Output[dsl.Dataset]) -> str:
        from pathlib import Path

        Path(note.path).write_text(text * times)
        note.metadata["length"] = len(text * times)
        return text.upper()

    @dsl.component(base_image="python:3.11", install_kfp_package=False)
    def read(note: dsl.Input[dsl.Dataset], fail: bool) -> int:
        from pathlib import Path

        if fail:
            raise ValueError("the note is unreadable")
        return len(Path(note.path).read_text())

    @dsl.component(base_image="python:3.11", install_kfp_package=False)
    def wait(seconds: float):
        import time

        time.sleep(seconds)

    @dsl.component(base_image="python:3.11", install_kfp_package=False)
    def divide(by: int) -> float:
        return 1 / by

    @dsl.pipeline(name="notes")
    def notes(text: str, times: int = 2, fail: bool = False):
        written = write(text=text, times=times)
        counted = read(note=written.outputs["note"], fail=fail)
        with dsl.If(counted.output > 1000, name="long"):
            wait(seconds=0.0)

    @dsl.pipeline(name="waits")
    def waits(seconds: float):
        wait(seconds=seconds).set_caching_options(False)

    @dsl.pipeline(name="rounds")
    def rounds():
        with dsl.ParallelFor([0, 1, 2], parallelism=1) as number:
            divide(by=number)

    folder = tmp_path_factory.mktemp("specs")
    for pipeline in (notes, waits, rounds):
        compiler.Compiler().compile(pipeline, str(folder / f"{pipeline.name}.yaml"))
    return folder


def submit(aip, spec, unique, wait=True, **changes):
    # The SDK's own ids repeat within a second.
    changes.setdefault("job_id", f"job-{uuid.uuid4().hex}")
    job = aip.PipelineJob(
        display_name=f"job-{unique}",
        template_path=str(spec),
        pipeline_root=f"gs://demo-bucket/{unique}",
        **changes,
    )
    job.submit()
    if wait:
        wait_for(lambda: job.state.name in OVER, 90)
    return job


def details(job):
    job._sync_gca_resource()
    return {detail.task_name: detail for detail in job.task_details}


def test_a_pipeline_runs_and_its_tasks_and_artifacts_read_back(aip, specs, unique):
    job = submit(
        aip,
        specs / "notes.yaml",
        unique,
        parameter_values={"text": "ab", "times": 3},
        labels={"run": unique},
    )
    assert job.state.name == "PIPELINE_STATE_SUCCEEDED", job.gca_resource.error
    tasks = details(job)
    assert {name: task.state.name for name, task in tasks.items()} == {
        "notes": "SUCCEEDED",
        "write": "SUCCEEDED",
        "read": "SUCCEEDED",
        "condition-1": "NOT_TRIGGERED",
    }
    written = tasks["write"]
    assert written.execution.metadata["output:Output"] == "AB"
    assert tasks["read"].execution.metadata["output:Output"] == 6
    (note,) = written.outputs["note"].artifacts
    assert note.schema_title == "system.Dataset"
    assert note.metadata["length"] == 6
    assert note.uri.startswith(f"gs://demo-bucket/{unique}/")
    assert written.end_time >= written.start_time
    # The artifact is an object like any other.
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    client = storage.Client(project="demo-project", credentials=AnonymousCredentials())
    assert storage.Blob.from_uri(note.uri, client=client).download_as_text() == "ababab"
    again = aip.PipelineJob.get(job.resource_name)
    assert again.display_name == f"job-{unique}"
    assert again.labels["run"] == unique
    assert again.has_failed is False


def test_the_second_run_takes_cached_steps(aip, specs, unique):
    values = {"text": unique}
    submit(aip, specs / "notes.yaml", unique, parameter_values=values)
    again = submit(aip, specs / "notes.yaml", unique, parameter_values=values)
    assert details(again)["write"].state.name == "SKIPPED"
    fresh = submit(aip, specs / "notes.yaml", unique, parameter_values=values, enable_caching=False)
    assert details(fresh)["write"].state.name == "SUCCEEDED"


def test_what_the_cache_knows_is_no_object_of_the_bucket(aip, specs, unique):
    from google.cloud import storage

    submit(aip, specs / "notes.yaml", unique, parameter_values={"text": unique})

    names = [blob.name for blob in storage.Client().list_blobs("demo-bucket", max_results=500)]
    assert any(unique in name for name in names)
    assert not [name for name in names if ".cache" in name]


def test_a_failing_task_fails_the_job_by_name(aip, specs, unique):
    job = submit(aip, specs / "notes.yaml", unique, parameter_values={"text": "a", "fail": True})
    assert job.state.name == "PIPELINE_STATE_FAILED"
    assert "The failed tasks are: [read]" in job.gca_resource.error.message
    tasks = details(job)
    assert tasks["read"].state.name == "FAILED"
    assert tasks["read"].error.message == "ValueError: the note is unreadable"
    assert job.has_failed


@pytest.mark.parametrize(
    ("policy", "states"), [("slow", ["FAILED", "SUCCEEDED", "SUCCEEDED"]), ("fast", ["FAILED"])]
)
def test_the_failure_policy_decides_what_still_starts(aip, specs, unique, policy, states):
    job = submit(aip, specs / "rounds.yaml", unique, failure_policy=policy)
    assert job.state.name == "PIPELINE_STATE_FAILED"
    (loop,) = (task for name, task in details(job).items() if name.startswith("for-loop"))
    assert loop.state.name == "FAILED"
    rounds = [task for task in job.task_details if task.task_name == "divide"]
    assert [task.state.name for task in rounds] == states
    assert {task.parent_task_id for task in rounds} == {loop.task_id}


def test_a_running_task_is_seen_and_cancel_ends_it(aip, specs, unique):
    job = submit(aip, specs / "waits.yaml", unique, False, parameter_values={"seconds": 60.0})
    wait_for(lambda: details(job).get("wait"), 60)
    assert details(job)["wait"].state.name == "RUNNING"
    assert job.state.name == "PIPELINE_STATE_RUNNING"
    job.cancel()
    wait_for(lambda: job.state.name == "PIPELINE_STATE_CANCELLED")
    assert details(job)["wait"].state.name == "CANCELLED"


def test_a_spec_may_be_in_cloud_storage(aip, specs, unique):
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    bucket = storage.Client(project="demo-project", credentials=AnonymousCredentials()).bucket(
        "demo-bucket"
    )
    bucket.blob(f"{unique}.yaml").upload_from_filename(str(specs / "waits.yaml"))
    job = submit(aip, f"gs://demo-bucket/{unique}.yaml", unique, parameter_values={"seconds": 0.0})
    assert job.state.name == "PIPELINE_STATE_SUCCEEDED"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"times": 2}, "'text' of the pipeline is required"),
        ({"text": 7}, "'text' must be of type STRING"),
        ({"text": "a", "times": 1.5}, "'times' must be of type NUMBER_INTEGER"),
        ({"text": "a", "fail": "yes"}, "'fail' must be of type BOOLEAN"),
    ],
)
def test_bad_parameters_are_refused_before_anything_runs(aip, specs, unique, values, reason):
    with pytest.raises(exceptions.BadRequest, match=reason):
        submit(aip, specs / "notes.yaml", unique, parameter_values=values)


def test_a_job_id_that_is_taken_is_refused_with_what_made_it(aip, specs, unique):
    values = {"parameter_values": {"seconds": 0.0}, "job_id": f"job-{unique}"}
    submit(aip, specs / "waits.yaml", unique, False, **values)
    with pytest.raises(
        exceptions.AlreadyExists, match="two jobs of one second collide; give them a job_id"
    ):
        submit(aip, specs / "waits.yaml", unique, False, **values)


def test_an_unknown_parameter_is_refused_by_the_server_too(local, environment, specs):
    import yaml

    from tests.localvertex.conftest import PARENT
    from tests.localvertex.wire import ask

    body = {
        "pipelineSpec": yaml.safe_load((specs / "waits.yaml").read_text()),
        "runtimeConfig": {
            "gcsOutputDirectory": "gs://demo-bucket/x",
            "parameterValues": {"seconds": 1, "minutes": 1},
        },
    }
    status, answer = ask(local, f"/v1/{PARENT}/pipelineJobs", json.dumps(body))
    assert status == 400
    assert (
        "'minutes' is not an input of the pipeline; it has: seconds" in answer["error"]["message"]
    )


def test_jobs_are_listed_by_filter_and_order_and_deleted(aip, specs, unique):
    values = {"parameter_values": {"seconds": 0.0}, "labels": {"batch": unique}}
    first = submit(aip, specs / "waits.yaml", unique, job_id=f"a-{unique}", **values)
    second = submit(aip, specs / "waits.yaml", unique, job_id=f"b-{unique}", **values)
    for order, wanted in (("create_time", [first, second]), ("create_time desc", [second, first])):
        found = aip.PipelineJob.list(
            filter=f'labels.batch="{unique}" AND state="PIPELINE_STATE_SUCCEEDED"', order_by=order
        )
        assert [job.name for job in found] == [job.name for job in wanted]
    assert (
        aip.PipelineJob.list(filter=f'display_name:"*{unique}" AND state="PIPELINE_STATE_FAILED"')
        == []
    )
    simple = aip.PipelineJob.list(filter=f'labels.batch="{unique}"', enable_simple_view=True)
    assert {job.display_name for job in simple} == {f"job-{unique}"}
    first.delete()
    with pytest.raises(exceptions.NotFound):
        aip.PipelineJob.get(first.resource_name)


def test_a_job_id_is_used_once(aip, specs, unique):
    values = {"parameter_values": {"seconds": 0.0}, "job_id": f"one-{unique}"}
    submit(aip, specs / "waits.yaml", unique, **values)
    with pytest.raises(exceptions.Conflict):
        submit(aip, specs / "waits.yaml", unique, **values)


def test_runs_of_a_pipeline_are_compared_in_data_frames(aip, tmp_path, unique):
    from kfp import compiler, dsl

    @dsl.component(base_image="python:3.11", install_kfp_package=False)
    def score(rate: float, metrics: dsl.Output[dsl.Metrics]):
        metrics.log_metric("accuracy", 1 - rate)

    @dsl.component(base_image="python:3.11", install_kfp_package=False)
    def describe(metrics: dsl.Input[dsl.Metrics], more: dsl.Output[dsl.Metrics]):
        more.log_metric("seen", metrics.metadata["accuracy"])

    @dsl.pipeline(name=f"scored-{unique}")
    def scored(rate: float, words: str = "few"):
        describe(metrics=score(rate=rate).outputs["metrics"])

    compiler.Compiler().compile(scored, str(tmp_path / "scored.yaml"))
    aip.init(experiment=f"exp-{unique}", project="demo-project", location="us-central1")
    jobs = []
    for rate in (0.25, 0.5):
        job = aip.PipelineJob(
            display_name=unique,
            template_path=str(tmp_path / "scored.yaml"),
            job_id=f"job-{uuid.uuid4().hex}",
            pipeline_root=f"gs://demo-bucket/{unique}",
            parameter_values={"rate": rate},
        )
        job.submit(experiment=f"exp-{unique}")
        jobs.append(job)
    for job in jobs:
        wait_for(lambda job=job: job.state.name in OVER, 90)
    wanted = {jobs[0].name: (0.25, 0.75), jobs[1].name: (0.5, 0.5)}

    frame = aip.get_pipeline_df(pipeline=f"scored-{unique}").set_index("run_name")
    assert {
        name: (row["param.input:rate"], row["metric.accuracy"]) for name, row in frame.iterrows()
    } == wanted
    assert set(frame["param.input:words"]) == {"few"}
    assert list(frame["metric.seen"]) == list(frame["metric.accuracy"])
    assert set(frame["pipeline_name"]) == {f"scored-{unique}"}

    frame = aip.get_experiment_df(f"exp-{unique}").set_index("run_name")
    assert {
        name: (row["param.rate"], row["metric.accuracy"]) for name, row in frame.iterrows()
    } == wanted
    assert set(frame["run_type"]) == {"system.PipelineRun"}
    assert set(frame["state"]) == {"COMPLETE"}
    aip.metadata.metadata._experiment_tracker.reset()
