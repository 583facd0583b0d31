"""Clients that are not the SDK's own: curl over HTTP/2, dedicated endpoints, other projects."""

import os
import shutil
import subprocess

import pytest

from tests.localvertex.conftest import IMAGE, NUMBER, PARENT

TRANSPORTS = ("rest",)


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on this machine")
def test_curl_as_it_comes_gets_rest(local):
    environment = {**os.environ, "CURL_CA_BUNDLE": "/nowhere.pem", **local.environment}
    url = f"https://us-central1-aiplatform.googleapis.com/v1/{PARENT}/models"

    done = subprocess.run(
        ["curl", "-sS", "-f", url], env=environment, capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("{")


def test_a_dedicated_endpoint_is_asked_under_its_own_host(local, aip, unique, run_inside):
    endpoint = aip.Endpoint.create(display_name=unique, dedicated_endpoint_enabled=True)
    model = aip.Model.upload(display_name=unique, serving_container_image_uri=IMAGE)
    endpoint.deploy(model, machine_type="n1-standard-4")
    host = endpoint.gca_resource.dedicated_endpoint_dns
    assert host == f"{endpoint.name}.us-central1-{NUMBER}.prediction.vertexai.goog"

    script = (
        "import sys; from google.cloud import aiplatform\n"
        "aiplatform.init(project='demo-project', location='us-central1')\n"
        "endpoint = aiplatform.Endpoint(sys.argv[1])\n"
        "answer = endpoint.predict(instances=['a'], use_dedicated_endpoint=True)\n"
        "print(answer.predictions[0]['echo'])"
    )
    done = run_inside(script, endpoint.resource_name)

    assert done.stdout == "a\n", done.stderr
    endpoint.delete(force=True)


def test_a_bucket_is_deleted_without_an_error(environment, unique):
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    client = storage.Client(project="demo-project", credentials=AnonymousCredentials())
    bucket = client.create_bucket(unique)
    bucket.delete()

    assert not client.bucket(unique).exists()


def test_a_bucket_belongs_to_the_project_that_it_was_made_in(environment, unique, run_inside):
    script = (
        "import sys; from google.cloud import aiplatform, storage\n"
        "bucket = storage.Client(project='other-project').create_bucket(sys.argv[1])\n"
        "from google.cloud.aiplatform.utils import resource_manager_utils as r\n"
        "aiplatform.init(project='other-project')\n"
        "print(bucket.project_number == int(r.get_project_number('other-project')))"
    )

    done = run_inside(script, unique)

    assert done.stdout == "True\n", done.stderr


def test_a_job_of_another_project_works_in_that_project(local, run_inside, unique):
    script = f"""
from google.cloud import aiplatform
aiplatform.init(project="other-project", location="europe-west4", staging_bucket="gs://demo-bucket")
job = aiplatform.CustomJob(display_name="{unique}", worker_pool_specs=[{{
    "machine_spec": {{"machine_type": "n1-standard-4"}}, "replica_count": 1,
    "container_spec": {{"image_uri": "us-docker.pkg.dev/demo/images/environment:1",
        "command": ["python", "-c", '''
from google.cloud import aiplatform
aiplatform.init()
aiplatform.Endpoint.create(display_name="{unique}")
''']}}}}])
job.run()
print([e.resource_name for e in aiplatform.Endpoint.list(filter='display_name="{unique}"')])
"""
    done = run_inside(script)

    assert done.returncode == 0, done.stderr
    assert "locations/europe-west4/endpoints" in done.stdout
