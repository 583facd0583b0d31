import json
import time

import psutil
import pytest
from google.api_core import exceptions

from tests.localvertex.conftest import NUMBER, TRAINING_IMAGE
from tests.waiting import wait_for

TRANSPORTS = ("grpc",)
MACHINE = {"machine_type": "n1-standard-4"}


def pool(*arguments, replicas=1, **container):
    spec = {"image_uri": TRAINING_IMAGE, "args": list(arguments), **container}
    return {"machine_spec": MACHINE, "replica_count": replicas, "container_spec": spec}


def submit(aip, *pools, **changes):
    job = aip.CustomJob(
        display_name="train",
        worker_pool_specs=list(pools),
        base_output_dir="gs://demo-bucket/out",
        **changes,
    )
    job.submit()
    return job


def finished(job, seconds=30):
    def over():
        return job.state.name in (
            "JOB_STATE_SUCCEEDED",
            "JOB_STATE_FAILED",
            "JOB_STATE_CANCELLED",
        )

    wait_for(over, seconds)
    return job


def test_a_job_runs_with_the_variables_that_vertex_sets(aip, tmp_path):
    job = submit(
        aip,
        pool("--report", str(tmp_path), "$(EXTRA)", env=[{"name": "EXTRA", "value": "yes"}]),
        labels={"run": "r1"},
    )
    assert finished(job).state.name == "JOB_STATE_SUCCEEDED"
    report = json.loads((tmp_path / "workerpool0-0.json").read_text())
    environment = report["environment"]
    assert environment["AIP_MODEL_DIR"] == "gs://demo-bucket/out/model/"
    assert environment["AIP_CHECKPOINT_DIR"] == "gs://demo-bucket/out/checkpoints/"
    assert environment["AIP_TENSORBOARD_LOG_DIR"] == "gs://demo-bucket/out/logs/"
    assert environment["CLOUD_ML_JOB_ID"] == job.name
    assert environment["CLOUD_ML_PROJECT_ID"] == NUMBER
    assert report["arguments"][-1] == "yes"
    assert report["cluster"]["task"] == {"type": "workerpool0", "index": 0}
    assert "RANK" not in environment
    again = aip.CustomJob.get(job.resource_name)
    assert (again.display_name, again.labels) == ("train", {"run": "r1"})
    assert again.start_time is not None
    assert again.end_time >= again.start_time
    assert not again.error.message


def test_replicas_find_each_other(aip, tmp_path):
    report = ("--report", str(tmp_path))
    job = submit(aip, pool(*report), pool(*report, replicas=2))
    assert finished(job).state.name == "JOB_STATE_SUCCEEDED"
    reports = [json.loads(path.read_text()) for path in sorted(tmp_path.iterdir())]
    assert len(reports) == 3
    clusters = [entry["cluster"]["cluster"] for entry in reports]
    assert clusters[0] == clusters[1] == clusters[2]
    assert {name: len(hosts) for name, hosts in clusters[0].items()} == {
        "workerpool0": 1,
        "workerpool1": 2,
    }
    environments = [entry["environment"] for entry in reports]
    assert [item["RANK"] for item in environments] == ["0", "1", "2"]
    assert {item["WORLD_SIZE"] for item in environments} == {"3"}
    master = clusters[0]["workerpool0"][0]
    assert {f"{item['MASTER_ADDR']}:{item['MASTER_PORT']}" for item in environments} == {master}
    chief = json.loads(environments[0]["TF_CONFIG"])
    assert chief["task"] == {"type": "chief", "index": 0}


def test_a_failing_replica_fails_the_job_with_its_last_lines(aip):
    job = submit(aip, pool("--sleep", "60"), pool("--fail=workerpool1"))
    assert finished(job).state.name == "JOB_STATE_FAILED"
    assert "workerpool1-0 exited with status 1" in job.error.message
    assert "the loss is not a number" in job.error.message


def test_run_raises_what_failed(aip):
    job = aip.CustomJob(
        display_name="fails",
        worker_pool_specs=[pool("--fail=workerpool0")],
        base_output_dir="gs://demo-bucket/out",
    )
    with pytest.raises(RuntimeError, match="the loss is not a number"):
        job.run()


def test_cancel_kills_the_whole_tree(aip, tmp_path):
    job = submit(aip, pool("--child", str(tmp_path), "--sleep", "60"))
    child = psutil.Process(
        int(wait_for(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text()))
    )
    parent = child.parent()
    job.cancel()
    assert finished(job).state.name == "JOB_STATE_CANCELLED"
    _, alive = psutil.wait_procs([child, parent], timeout=5)
    assert alive == []


def test_parameter_servers_do_not_keep_a_job_from_ending(aip, monkeypatch):
    started = time.monotonic()
    job = submit(aip, pool(), {}, pool())
    assert finished(job).state.name == "JOB_STATE_SUCCEEDED"
    assert time.monotonic() - started < 20


def test_a_job_over_its_time_fails(aip):
    job = aip.CustomJob(
        display_name="slow",
        worker_pool_specs=[pool("--sleep", "60")],
        base_output_dir="gs://demo-bucket/out",
    )
    job.submit(timeout=1)
    assert finished(job).state.name == "JOB_STATE_FAILED"
    assert "time-out of 1 s" in job.error.message


def test_a_container_command_runs_in_place_of_the_program(aip, tmp_path):
    target = tmp_path / "made"
    script = f"import pathlib, doctune; pathlib.Path({str(target)!r}).write_text('here')"
    job = submit(aip, pool("-c", script, command=["python"]))
    assert finished(job).state.name == "JOB_STATE_SUCCEEDED"
    assert target.read_text() == "here"


def test_a_local_script_travels_as_a_package(aip, tmp_path):
    (tmp_path / "task.py").write_text(
        "import sys, pathlib\npathlib.Path(sys.argv[1]).write_text('trained')\n"
    )
    job = aip.CustomJob.from_local_script(
        display_name="script",
        script_path=str(tmp_path / "task.py"),
        container_uri=TRAINING_IMAGE,
        args=[str(tmp_path / "result")],
        machine_type="n1-standard-4",
        base_output_dir="gs://demo-bucket/out",
    )
    job.submit()
    assert finished(job).state.name == "JOB_STATE_SUCCEEDED", job.error
    assert (tmp_path / "result").read_text() == "trained"


def test_an_unknown_image_is_refused_before_anything_runs(aip):
    with pytest.raises(exceptions.BadRequest, match=r"local\.programs"):
        submit(aip, pool(image_uri="gcr.io/other/trainer:1"))


def test_a_job_without_pools_is_refused(aip):
    with pytest.raises(exceptions.BadRequest, match="worker_pool_specs"):
        submit(aip)


def test_jobs_are_listed_by_state_and_deleted(aip, unique):
    job = submit(aip, pool(), labels={"batch": unique})
    finished(job)
    listed = aip.CustomJob.list(filter=f'labels.batch={unique} AND state="JOB_STATE_SUCCEEDED"')
    assert [item.resource_name for item in listed] == [job.resource_name]
    assert aip.CustomJob.list(filter=f'labels.batch={unique} AND state="JOB_STATE_FAILED"') == []
    job.delete()
    with pytest.raises(exceptions.NotFound):
        aip.CustomJob.get(job.resource_name)


def test_a_running_job_cannot_be_deleted(aip):
    job = submit(aip, pool("--sleep", "60"))
    with pytest.raises(exceptions.BadRequest, match="cancel it first"):
        job.api_client.delete_custom_job(name=job.resource_name)
    job.cancel()
    finished(job)
