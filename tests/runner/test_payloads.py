"""Google's spelling of job payloads reaches its launchers in theirs."""

import json

from doctune.runner.payloads import spelled_for_launchers

_POOL = {
    "machineSpec": {"machineType": "n1-standard-4"},
    "replicaCount": 1,
    "containerSpec": {"imageUri": "i", "env": [{"name": "someName", "value": "someValue"}]},
}


def _payload(kind: str, payload: str) -> list[str]:
    return spelled_for_launchers(["--type", kind, "--payload", payload, "--project", "p"])


def test_keys_become_the_clients_and_values_stay() -> None:
    payload = {"labels": {"aB": "c"}, "job_spec": {"workerPoolSpecs": [_POOL]}}

    done = json.loads(_payload("CustomJob", json.dumps(payload))[3])

    (pool,) = done["job_spec"]["worker_pool_specs"]
    assert pool["machine_spec"] == {"machine_type": "n1-standard-4"}
    assert pool["container_spec"]["image_uri"] == "i"
    assert pool["container_spec"]["env"] == [{"name": "someName", "value": "someValue"}]
    assert done["labels"] == {"aB": "c"}


def test_payloads_of_other_launchers_and_what_is_no_json_stay_as_they_are() -> None:
    assert _payload("UploadModel", '{"aB": 1}')[3] == '{"aB": 1}'
    assert _payload("CustomJob", "not json")[3] == "not json"
