import collections
import os
import signal
import time

import pytest
from google.api_core import exceptions

from tests.localvertex.conftest import IMAGE, LOCATION, NUMBER, PARENT

MACHINE = "n1-standard-4"


@pytest.fixture(scope="module")
def model(aip):
    return aip.Model.upload(
        display_name="served",
        artifact_uri="gs://demo-bucket/served",
        serving_container_image_uri=IMAGE,
        serving_container_predict_route="/predict",
        serving_container_health_route="/health",
        serving_container_environment_variables={"AIP_EXTRA": "$(AIP_MODE)!"},
    )


@pytest.fixture(scope="module")
def second_version(aip, model):
    return aip.Model.upload(
        serving_container_image_uri=IMAGE,
        parent_model=model.resource_name,
        is_default_version=False,
        serving_container_args=["--second"],
    )


@pytest.fixture(scope="module")
def deployed(aip, model, second_version):
    """An endpoint with both versions, 70 to 30."""
    endpoint = aip.Endpoint.create(display_name="split")
    model.deploy(endpoint=endpoint, machine_type=MACHINE, traffic_percentage=100)
    first = endpoint.list_models()[0].id
    endpoint.deploy(second_version, machine_type=MACHINE, traffic_split={"0": 30, first: 70})
    yield endpoint
    endpoint.delete(force=True)


@pytest.fixture
def endpoint(aip, unique):
    created = aip.Endpoint.create(display_name=unique, labels={"made": unique})
    yield created
    created.delete(force=True)


def test_an_endpoint_reads_back_what_was_given(aip, unique):
    created = aip.Endpoint.create(
        display_name=unique, description="answers", labels={"a": "b"}, endpoint_id=f"id-{unique}"
    )
    again = aip.Endpoint(f"id-{unique}")
    assert again.resource_name == f"{PARENT}/endpoints/id-{unique}" == created.resource_name
    assert again.display_name == unique
    assert again.labels == {"a": "b"}
    assert again.gca_resource.description == "answers"
    assert dict(again.traffic_split) == {}
    with pytest.raises(exceptions.Conflict):
        aip.Endpoint.create(display_name=unique, endpoint_id=f"id-{unique}")


def test_endpoints_are_listed_by_name_and_label(aip, endpoint, unique):
    for wanted in (f'display_name="{unique}"', f"labels.made:{unique}", f"labels.made={unique}"):
        found = aip.Endpoint.list(filter=wanted)
        assert [item.resource_name for item in found] == [endpoint.resource_name]
    assert aip.Endpoint.list(filter=f'display_name="{unique}" AND labels.made="other"') == []


def test_update_changes_name_and_labels(aip, endpoint):
    endpoint.update(display_name="renamed", labels={"made": "later"}, description="new")
    again = aip.Endpoint(endpoint.resource_name)
    assert (again.display_name, again.labels) == ("renamed", {"made": "later"})
    assert again.gca_resource.description == "new"


def test_a_deleted_endpoint_is_not_found(aip):
    created = aip.Endpoint.create(display_name="short-lived")
    created.delete()
    with pytest.raises(exceptions.NotFound):
        aip.Endpoint(created.resource_name).list_models()


def test_a_prediction_comes_from_the_model_program(aip, model, deployed):
    answer = deployed.predict(instances=[{"text": "hi", "n": 2}], parameters={"top": 1})
    (prediction,) = answer.predictions
    assert prediction["echo"] == {"text": "hi", "n": 2}
    assert answer.deployed_model_id in {item.id for item in deployed.list_models()}
    assert answer.model_resource_name == model.resource_name
    assert answer.model_version_id in ("1", "2")


def test_a_private_endpoint_answers_under_the_address_of_its_model(aip, model, unique):
    private = aip.PrivateEndpoint.create(
        display_name=unique, network=f"projects/{NUMBER}/global/networks/default"
    )
    try:
        private.deploy(model, machine_type=MACHINE)
        answer = private.predict([{"text": "near"}])  # by urllib3, which knows no proxy
        assert len(answer.predictions) == 1
        assert answer.deployed_model_id == private.list_models()[0].id
        with pytest.raises(exceptions.GoogleAPICallError, match="is private and has a model"):
            private.deploy(model, machine_type=MACHINE)
    finally:
        private.delete(force=True)


def test_the_program_gets_the_variables_that_vertex_sets(aip, model, deployed):
    answer = deployed.predict(instances=["x"])
    environment = answer.predictions[0]["environment"]
    assert environment["AIP_MODE"] == "PREDICTION"
    assert environment["AIP_ENDPOINT_ID"] == deployed.name
    assert environment["AIP_DEPLOYED_MODEL_ID"] == answer.deployed_model_id
    assert environment["AIP_MODEL_NAME"] == model.name
    assert environment["AIP_VERSION_NAME"] == answer.model_version_id
    assert environment["AIP_PROJECT_NUMBER"] == NUMBER
    assert environment["AIP_MACHINE_TYPE"] == MACHINE
    if answer.model_version_id == "1":
        assert environment["AIP_STORAGE_URI"] == "gs://demo-bucket/served"
        assert environment["AIP_PREDICT_ROUTE"] == "/predict"
        assert environment["AIP_EXTRA"] == "PREDICTION!"
    else:
        assert environment["AIP_STORAGE_URI"] == ""
        assert answer.predictions[0]["args"] == ["--second"]
        default = f"/v1/endpoints/{deployed.name}/deployedModels/{answer.deployed_model_id}"
        assert environment["AIP_HEALTH_ROUTE"] == default
        assert environment["AIP_PREDICT_ROUTE"] == f"{default}:predict"


def test_predictions_follow_the_traffic_split(deployed):
    counts = collections.Counter(
        deployed.predict(instances=[number]).model_version_id for number in range(200)
    )
    # 200 draws at 0.7: the probability of straying this far (4.6 sigma) is below one in 100,000.
    assert 110 <= counts["1"] <= 170
    assert counts["1"] + counts["2"] == 200


def test_raw_predict_passes_bytes_and_names_the_model(deployed):
    answer = deployed.raw_predict(
        body=b'{"instances": [1]}', headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 200
    assert answer.json()["predictions"][0]["echo"] == 1
    assert answer.headers["X-Vertex-AI-Endpoint-Id"] == deployed.name
    assert answer.headers["X-Vertex-AI-Deployed-Model-Id"] in dict(deployed.traffic_split)
    assert answer.headers["X-Vertex-AI-Model-Version-Id"] in ("1", "2")


def test_what_the_program_refuses_is_refused_with_its_reason(deployed):
    with pytest.raises(exceptions.BadRequest, match="this instance is refused"):
        deployed.predict(instances=["refuse"])


def test_a_request_over_the_limit_is_refused(deployed):
    with pytest.raises(exceptions.BadRequest, match="1500000 bytes"):
        deployed.predict(instances=["x" * 1_600_000])


def test_traffic_that_is_not_a_hundred_is_refused(deployed):
    first, second = (item.id for item in deployed.list_models())
    gapic = deployed.gca_resource.__class__
    with pytest.raises(exceptions.BadRequest, match="must be 100"):
        deployed.api_client.update_endpoint(
            endpoint=gapic(name=deployed.resource_name, traffic_split={first: 50, second: 40}),
            update_mask={"paths": ["traffic_split"]},
        )
    with pytest.raises(exceptions.BadRequest, match="not a deployed model"):
        deployed.api_client.update_endpoint(
            endpoint=gapic(name=deployed.resource_name, traffic_split={"77": 100}),
            update_mask={"paths": ["traffic_split"]},
        )


def test_an_endpoint_with_deployed_models_cannot_be_deleted(deployed):
    with pytest.raises(exceptions.BadRequest, match="undeploy them first"):
        deployed.delete()


def test_a_deployed_model_cannot_be_deleted(aip, model, deployed):
    with pytest.raises(exceptions.BadRequest, match="is deployed to"):
        model.delete()
    places = aip.Model(model.resource_name).gca_resource.deployed_models
    assert [place.endpoint for place in places] == [deployed.resource_name]


def test_the_whole_life_of_a_deployment(aip, model, second_version, endpoint):
    model.deploy(
        endpoint=endpoint,
        deployed_model_display_name="one",
        machine_type=MACHINE,
        min_replica_count=1,
        max_replica_count=3,
        autoscaling_target_cpu_utilization=60,
        traffic_percentage=100,
    )
    (one,) = endpoint.list_models()
    assert (one.display_name, one.dedicated_resources.max_replica_count) == ("one", 3)
    assert one.dedicated_resources.machine_spec.machine_type == MACHINE
    endpoint.deploy(second_version, machine_type=MACHINE, traffic_percentage=10)
    two = next(item for item in endpoint.list_models() if item.id != one.id)
    assert dict(endpoint.traffic_split) == {one.id: 90, two.id: 10}
    endpoint.update(traffic_split={two.id: 100, one.id: 0})
    assert dict(aip.Endpoint(endpoint.name).traffic_split) == {one.id: 0, two.id: 100}
    assert endpoint.predict(instances=[1]).deployed_model_id == two.id
    endpoint.undeploy(one.id)
    assert [item.id for item in endpoint.list_models()] == [two.id]
    assert dict(endpoint.traffic_split) == {two.id: 100}
    endpoint.undeploy_all()
    assert endpoint.list_models() == []
    assert dict(endpoint.traffic_split) == {}
    with pytest.raises(exceptions.FailedPrecondition if grpc(aip) else exceptions.BadRequest):
        endpoint.predict(instances=[1])


def grpc(aip):
    return aip.initializer.global_config._api_transport == "grpc"


def test_undeploying_what_has_traffic_needs_a_new_split(aip, deployed):
    first = next(iter(dict(deployed.traffic_split)))
    with pytest.raises(exceptions.BadRequest, match="of the traffic"):
        deployed.api_client.undeploy_model(endpoint=deployed.resource_name, deployed_model_id=first)


def test_replica_bounds_are_changed_in_place(aip, deployed):
    target = deployed.list_models()[0]
    client = deployed.api_client.select_version("v1beta1")
    from google.cloud.aiplatform_v1beta1 import types

    operation = client.mutate_deployed_model(
        endpoint=deployed.resource_name,
        deployed_model=types.DeployedModel(
            id=target.id,
            dedicated_resources=types.DedicatedResources(min_replica_count=2, max_replica_count=5),
        ),
        update_mask={
            "paths": [
                "dedicated_resources.min_replica_count",
                "dedicated_resources.max_replica_count",
            ]
        },
    )
    operation.result(timeout=30)
    changed = next(item for item in deployed.list_models() if item.id == target.id)
    assert changed.dedicated_resources.min_replica_count == 2
    assert changed.dedicated_resources.max_replica_count == 5
    assert changed.dedicated_resources.machine_spec.machine_type == MACHINE


def test_an_unknown_image_says_how_to_add_it(aip, endpoint):
    model = aip.Model.upload(display_name="x", serving_container_image_uri="gcr.io/other/thing:2")
    with pytest.raises(exceptions.BadRequest, match=r"gcr.io/other/thing:2.*local.programs"):
        endpoint.deploy(model, machine_type=MACHINE)


def test_a_program_that_dies_fails_the_deployment_with_its_last_words(aip, endpoint):
    model = aip.Model.upload(
        display_name="x", serving_container_image_uri=IMAGE.replace("serving", "broken")
    )
    with pytest.raises(exceptions.GoogleAPICallError, match="weights are missing: cannot serve"):
        endpoint.deploy(model, machine_type=MACHINE)
    assert endpoint.list_models() == []


def test_a_program_that_never_gets_healthy_fails_the_deployment(aip, endpoint):
    model = aip.Model.upload(
        display_name="x",
        serving_container_image_uri=IMAGE.replace("serving", "never-healthy"),
        serving_container_deployment_timeout=1,
    )
    with pytest.raises(exceptions.GoogleAPICallError, match="within 1 s"):
        endpoint.deploy(model, machine_type=MACHINE)


def test_a_killed_program_is_unavailable_at_once_and_comes_back(aip, model, endpoint):
    model.deploy(endpoint=endpoint, machine_type=MACHINE, traffic_percentage=100)
    before = endpoint.predict(instances=[1]).predictions[0]["pid"]
    started = time.monotonic()
    with pytest.raises(exceptions.ServiceUnavailable):
        predict_once(endpoint, ["die"])
    with pytest.raises(exceptions.ServiceUnavailable, match="exit code 7"):
        predict_once(endpoint, [1])
    assert time.monotonic() - started < 2
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        try:
            after = predict_once(endpoint, [1]).predictions[0]["pid"]
            break
        except exceptions.ServiceUnavailable:
            time.sleep(0.2)
    assert after != before


def test_a_killed_variant_fails_its_share_only_and_comes_back(aip, model, second_version, endpoint):
    model.deploy(endpoint=endpoint, machine_type=MACHINE, traffic_percentage=100)
    first = endpoint.list_models()[0].id
    endpoint.deploy(second_version, machine_type=MACHINE, traffic_split={"0": 50, first: 50})
    pid = next(
        prediction["pid"]
        for prediction in (endpoint.predict(instances=[1]).predictions[0] for _ in range(50))
        if prediction["environment"]["AIP_DEPLOYED_MODEL_ID"] == first
    )
    os.kill(int(pid), signal.SIGKILL)
    answered, reasons = [], []
    for _ in range(30):
        try:
            answered.append(predict_once(endpoint, [1]).deployed_model_id)
        except exceptions.ServiceUnavailable as error:
            reasons.append(str(error))
    assert reasons
    assert all(first in reason for reason in reasons)
    assert set(answered) == {other.id for other in endpoint.list_models()} - {first}
    deadline = time.monotonic() + 30
    seen = set()
    while len(seen) < 2 and time.monotonic() < deadline:
        try:
            seen.add(predict_once(endpoint, [1]).deployed_model_id)
        except exceptions.ServiceUnavailable:
            time.sleep(0.2)
    assert first in seen


def predict_once(endpoint, instances):
    """Predicts without the client's own retries."""
    client = endpoint._prediction_client
    from google.protobuf import json_format, struct_pb2

    values = [json_format.ParseDict(instance, struct_pb2.Value()) for instance in instances]
    answer = client.predict(
        endpoint=endpoint.resource_name, instances=values, retry=None, timeout=30
    )
    return answer


@pytest.fixture(scope="module")
def invoked(aip):
    """A dedicated endpoint with two deployed models of an invoke-enabled model, 100 to 0."""
    model = aip.Model.upload(
        display_name="invoked",
        serving_container_image_uri=IMAGE,
        serving_container_health_route="/health",
        serving_container_invoke_route_prefix="/*",
    )
    endpoint = aip.Endpoint.create(display_name="invoked", dedicated_endpoint_enabled=True)
    model.deploy(endpoint=endpoint, machine_type=MACHINE, traffic_percentage=100)
    model.deploy(endpoint=endpoint, machine_type=MACHINE, traffic_percentage=0)
    # A fresh one: the SDK looks at the deployed models that the object knows.
    yield aip.Endpoint(endpoint.resource_name)
    endpoint.delete(force=True)


def test_any_route_of_one_deployed_model_is_invoked_whatever_the_split(invoked):
    split = dict(invoked.traffic_split)
    sharing, idle = (next(key for key in split if split[key] == share) for share in (100, 0))
    headers = {"Content-Type": "text/plain", "X-Asked": "by us"}
    by_split = invoked.invoke("/own/route?a=b", b"hello", headers)
    assert (by_split.status_code, by_split.json()) == (202, {
        "path": "/own/route?a=b", "asked": "hello", "header": "by us", "deployed": sharing,
    })  # fmt: skip
    by_name = invoked.invoke("/own/route", b"hello", headers, deployed_model_id=idle)
    assert by_name.json()["deployed"] == idle
    lines = list(invoked.invoke("/own/x", b"", headers, deployed_model_id=idle, stream=True))
    assert idle in lines[0].decode()
    assert invoked.invoke("/own", b"", headers).status_code == 404  # of the program itself


def test_an_invoked_model_has_no_other_routes_and_the_root_is_closed(aip, invoked, endpoint):
    headers = {"Content-Type": "application/json"}
    with pytest.raises(exceptions.BadRequest, match="takes no predictions"):
        predict_once(invoked, [1])
    assert invoked.invoke("/", b"", headers).status_code == 400
    dedicated = invoked.gca_resource.dedicated_endpoint_dns
    shared = f"https://{LOCATION}-aiplatform.googleapis.com/v1/{invoked.resource_name}/invoke/own/x"
    refused = invoked.authorized_session.post(shared, data=b"")
    assert refused.status_code == 404
    assert dedicated in refused.text
    with pytest.raises(exceptions.BadRequest, match="dedicated endpoint"):
        aip.Model(aip.Model.list(filter='display_name="invoked"')[0].resource_name).deploy(
            endpoint=endpoint, machine_type=MACHINE
        )


def test_a_model_has_a_predict_route_or_is_invoked(aip):
    with pytest.raises(exceptions.BadRequest, match="Only one of"):
        aip.Model.upload(
            display_name="both",
            serving_container_image_uri=IMAGE,
            serving_container_predict_route="/predict",
            serving_container_invoke_route_prefix="/*",
        )
    with pytest.raises(exceptions.BadRequest, match="must be"):
        aip.Model.upload(
            display_name="some",
            serving_container_image_uri=IMAGE,
            serving_container_invoke_route_prefix="/v1/*",
        )
