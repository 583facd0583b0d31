import json

import pytest
import sqlalchemy as sa
from google.api_core import exceptions

from tests.localvertex.conftest import IMAGE

TRANSPORTS = ("rest",)


def create(aip, unique, rate=1.0, destination=None):
    endpoint = aip.Endpoint.create(
        display_name=unique,
        enable_request_response_logging=True,
        request_response_logging_sampling_rate=rate,
        request_response_logging_bq_destination_table=destination,
    )
    model = aip.Model.upload(
        display_name=unique,
        serving_container_image_uri=IMAGE,
        serving_container_predict_route="/predict",
        serving_container_health_route="/health",
    )
    model.deploy(endpoint=endpoint, machine_type="n1-standard-4", traffic_percentage=100)
    return endpoint


def rows(local, table):
    engine = sa.create_engine(f"sqlite:///{local.status.state_dir / 'request_response.db'}")
    with engine.connect() as connection:
        found = sa.Table(table, sa.MetaData(), autoload_with=engine)
        return [dict(row) for row in connection.execute(sa.select(found)).mappings()]


def test_predictions_are_logged_to_the_named_table(aip, local, unique):
    endpoint = create(aip, unique, destination=f"bq://demo-project.logs.{unique}")
    answer = endpoint.predict(instances=[{"a": 1}, {"a": 2}])
    endpoint.raw_predict(body=b'{"instances": [3]}', headers={"Content-Type": "application/json"})
    predicted, raw = rows(local, f"logs.{unique}")
    assert predicted["endpoint"] == endpoint.resource_name
    assert predicted["deployed_model_id"] == answer.deployed_model_id
    assert [json.loads(text) for text in json.loads(predicted["request_payload"])] == [
        {"a": 1},
        {"a": 2},
    ]
    logged = [json.loads(text)["echo"] for text in json.loads(predicted["response_payload"])]
    assert logged == [{"a": 1}, {"a": 2}]
    assert predicted["request_id"] != raw["request_id"]
    assert json.loads(raw["request_payload"]) == ['{"instances": [3]}']
    endpoint.delete(force=True)


def test_a_table_is_made_up_where_none_is_named_and_sampling_holds(aip, local, unique):
    endpoint = create(aip, unique, rate=0.3)
    config = endpoint.gca_resource.predict_request_response_logging_config
    destination = config.bigquery_destination.output_uri
    assert destination.startswith("bq://")
    assert destination.endswith(".request_response_logging")
    for number in range(100):
        endpoint.predict(instances=[number])
    count = len(rows(local, destination.removeprefix("bq://").partition(".")[2]))
    assert 10 <= count <= 52  # five standard deviations about 30
    endpoint.delete(force=True)


def test_a_sampling_rate_that_is_none_is_refused(aip, unique):
    with pytest.raises(exceptions.BadRequest, match="sampling_rate"):
        aip.Endpoint.create(
            display_name=unique,
            enable_request_response_logging=True,
            request_response_logging_sampling_rate=2.0,
        )


def test_monitoring_jobs_are_accepted_listed_paused_and_deleted(aip, unique):
    from google.cloud.aiplatform import model_monitoring

    endpoint = create(aip, unique)
    job = aip.ModelDeploymentMonitoringJob.create(
        endpoint=endpoint,
        display_name=unique,
        logging_sampling_strategy=model_monitoring.RandomSampleConfig(sample_rate=0.5),
        alert_config=model_monitoring.EmailAlertConfig(user_emails=["a@example.com"]),
        schedule_config=model_monitoring.ScheduleConfig(monitor_interval=1),
        objective_configs=model_monitoring.ObjectiveConfig(
            drift_detection_config=model_monitoring.DriftDetectionConfig(
                drift_thresholds={"a": 0.1}
            )
        ),
    )
    (listed,) = aip.ModelDeploymentMonitoringJob.list(filter=f'display_name="{unique}"')
    assert listed.resource_name == job.resource_name
    job.pause()
    assert job.state.name == "JOB_STATE_PAUSED"
    job.resume()
    assert job.state.name == "JOB_STATE_RUNNING"
    job.update(display_name=f"{unique}-new")
    assert aip.ModelDeploymentMonitoringJob(job.resource_name).display_name == f"{unique}-new"
    job.delete()
    with pytest.raises(exceptions.NotFound):
        aip.ModelDeploymentMonitoringJob(job.resource_name)
    endpoint.delete(force=True)


def test_a_streamed_answer_arrives(aip, unique):
    endpoint = create(aip, unique)
    lines = endpoint.stream_raw_predict(
        body=b'{"instances": ["x"]}', headers={"Content-Type": "application/json"}
    )
    assert json.loads(b"".join(lines))["predictions"][0]["echo"] == "x"
    endpoint.delete(force=True)
