import json

import pytest
from google.api_core import exceptions

from tests.localvertex.conftest import IMAGE
from tests.waiting import wait_for

TRANSPORTS = ("rest",)


@pytest.fixture(scope="module")
def model(aip):
    return aip.Model.upload(display_name="batch", serving_container_image_uri=IMAGE)


@pytest.fixture
def rows(environment, unique):
    """Writes rows to an object and returns its URI."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    bucket = storage.Client(project="demo-project", credentials=AnonymousCredentials()).bucket(
        "demo-bucket"
    )

    def write(*lines, name="rows.jsonl"):
        bucket.blob(f"{unique}/{name}").upload_from_string("\n".join(lines))
        return f"gs://demo-bucket/{unique}/{name}"

    return write


def start(aip, model, source, **changes):
    job = aip.BatchPredictionJob.submit(
        job_display_name="batch",
        model_name=model,
        gcs_source=source,
        gcs_destination_prefix="gs://demo-bucket/answers",
        machine_type="n1-standard-4",
        **changes,
    )
    over = ("JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED")
    wait_for(lambda: job.state.name in over, 30)
    return job


def output(job):
    return {
        blob.name.rpartition("/")[2].split("-")[0]: [
            json.loads(line) for line in blob.download_as_text().splitlines()
        ]
        for blob in job.iter_outputs()
    }


def test_every_row_gets_the_models_prediction(aip, model, rows):
    source = rows(*(json.dumps({"text": str(number)}) for number in range(150)))
    job = start(aip, model, source, model_parameters={"top": 1})
    assert job.state.name == "JOB_STATE_SUCCEEDED"
    results = output(job)["prediction.results"]
    assert [row["instance"]["text"] for row in results] == [str(n) for n in range(150)]
    assert [row["prediction"]["echo"] for row in results] == [row["instance"] for row in results]
    assert job.completion_stats.successful_count == 150
    assert job.output_info.gcs_output_directory.startswith(
        "gs://demo-bucket/answers/prediction-batch-"
    )


def test_failed_rows_are_in_a_file_of_their_own(aip, model, rows):
    job = start(aip, model, rows('"good"', '"refuse"', '"better"'))
    assert job.state.name == "JOB_STATE_SUCCEEDED"
    found = output(job)
    assert [row["instance"] for row in found["prediction.results"]] == ["good", "better"]
    (failed,) = found["prediction.errors_stats"]
    assert failed["instance"] == "refuse"
    assert "this instance is refused" in failed["error"]["message"]
    assert (job.completion_stats.successful_count, job.completion_stats.failed_count) == (2, 1)


def test_a_job_whose_rows_all_fail_has_failed(aip, model, rows):
    job = start(aip, model, rows('"refuse"'))
    assert job.state.name == "JOB_STATE_FAILED"
    assert "All 1 rows failed" in job.error.message


def test_several_files_match_a_wildcard(aip, model, rows, unique):
    rows("1", name="a-1.jsonl")
    rows("2", name="a-2.jsonl")
    job = start(aip, model, f"gs://demo-bucket/{unique}/a-*.jsonl")
    assert [row["instance"] for row in output(job)["prediction.results"]] == [1, 2]


def test_a_line_that_is_not_json_fails_the_job_and_names_the_line(aip, model, rows):
    job = start(aip, model, rows("1", "{oops"))
    assert job.state.name == "JOB_STATE_FAILED"
    assert "rows.jsonl, line 2" in job.error.message


def test_a_missing_input_fails_the_job(aip, model):
    job = start(aip, model, "gs://demo-bucket/nothing/here.jsonl")
    assert job.state.name == "JOB_STATE_FAILED"
    assert "here.jsonl" in job.error.message


def test_what_is_not_supported_says_so(aip, model, rows):
    with pytest.raises((exceptions.MethodNotImplemented, exceptions.ServerError), match="jsonl"):
        start(aip, model, rows("1"), instances_format="csv")


def test_what_would_be_left_out_of_the_result_is_refused(aip, model, rows):
    with pytest.raises(exceptions.MethodNotImplemented, match="without explanations"):
        start(aip, model, rows('{"text": "a"}'), generate_explanation=True)
    drift = aip.model_monitoring.DriftDetectionConfig({"text": 0.3})
    with pytest.raises(exceptions.MethodNotImplemented, match="without monitoring"):
        start(
            aip,
            model,
            rows('{"text": "a"}'),
            model_monitoring_objective_config=aip.model_monitoring.ObjectiveConfig(
                drift_detection_config=drift
            ),
        )


def test_jobs_are_listed_read_and_deleted(aip, model, rows, unique):
    job = start(aip, model, rows("1"), labels={"made": unique})
    (listed,) = aip.BatchPredictionJob.list(filter=f"labels.made={unique}")
    assert listed.resource_name == job.resource_name
    assert aip.BatchPredictionJob(job.resource_name).gca_resource.model == model.resource_name
    assert aip.BatchPredictionJob(job.resource_name).gca_resource.model_version_id == "1"
    job.delete()
    with pytest.raises(exceptions.NotFound):
        aip.BatchPredictionJob(job.resource_name)


def test_model_batch_predict_waits_for_the_result(aip, model, rows):
    job = model.batch_predict(
        job_display_name="direct",
        gcs_source=rows('"x"'),
        gcs_destination_prefix="gs://demo-bucket/answers",
        machine_type="n1-standard-4",
    )
    assert job.state.name == "JOB_STATE_SUCCEEDED"
    assert output(job)["prediction.results"][0]["prediction"]["echo"] == "x"
