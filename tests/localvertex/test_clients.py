"""Clients that are not the SDK's own: curl over HTTP/2, dedicated endpoints, other projects."""

import os
import shutil
import subprocess

import pytest

from tests.localvertex.conftest import IMAGE, NUMBER, PARENT
from tests.localvertex.wire import SESSION

TRANSPORTS = ("rest",)
_CURL, _WGET = ["curl", "-sS", "-f"], ["wget", "-q", "-O", "-"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on this machine")
def test_curl_as_it_comes_gets_rest(local):
    environment = {**os.environ, "CURL_CA_BUNDLE": "/nowhere.pem", **local.environment}
    url = f"https://us-central1-aiplatform.googleapis.com/v1/{PARENT}/models"

    done = subprocess.run(
        ["curl", "-sS", "-f", url], env=environment, capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("{")


def test_scripts_that_read_answers_by_lines_get_lines(local, unique):
    body = {"displayName": unique}
    url = f"{local.endpoint}/v1/{PARENT}/endpoints"
    created = SESSION.post(url, json=body, timeout=30).text.split("\n")
    line = next(line for line in created if line.strip().startswith('"name"'))
    name = line.partition(":")[2].strip(' ",')
    answer = SESSION.get(f"{local.endpoint}/v1/{name}", timeout=30).text
    assert '\n  "done": true,\n' in answer
    plain = SESSION.get(f"{local.endpoint}/v1/{name}?prettyPrint=false", timeout=30).text
    assert "\n" not in plain
    refused = SESSION.get(f"{url}/1?key=mine&nothing=1", timeout=30)
    assert "nothing" in refused.text
    assert '\n    "status": "INVALID_ARGUMENT"' in refused.text


@pytest.fixture
def public_object(local, unique):
    """A file that was put into a bucket, as data that lie in a public one on Vertex AI."""
    path = local.status.state_dir / "storage" / unique / "folder" / "a b.csv"
    path.parent.mkdir(parents=True)
    path.write_text("1,2\n")
    return unique


@pytest.mark.parametrize(
    ("tool", "url"),
    [
        (_CURL, "https://storage.googleapis.com/{bucket}/folder/a%20b.csv"),
        (_CURL, "https://{bucket}.storage.googleapis.com/folder/a%20b.csv"),
        (_CURL, "http://{bucket}.storage.googleapis.com/folder/a%20b.csv"),
        (_CURL, "https://www.googleapis.com/storage/v1/b/{bucket}/o/folder%2Fa%20b.csv?alt=media"),
        (_WGET, "https://storage.googleapis.com/{bucket}/folder/a%20b.csv"),
    ],
)
def test_an_object_is_read_by_any_of_its_addresses(local, public_object, tool, url):
    if shutil.which(tool[0]) is None:
        pytest.skip(f"there is no {tool[0]} on this machine")
    done = subprocess.run(
        [*tool, url.format(bucket=public_object)],
        env={**os.environ, **local.environment},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (done.returncode, done.stdout) == (0, "1,2\n"), done.stderr


def test_plain_http_reaches_the_metadata_server_and_nothing_else(run_inside):
    script = (
        "import urllib.request as r\n"
        "print(r.urlopen('http://metadata.google.internal/computeMetadata/v1/project/project-id')"
        ".read().decode())\n"
        "try: r.urlopen('http://example.com/')\n"
        "except Exception as error: print(error.code, error.read().decode())"
    )
    done = run_inside(script)

    assert done.stdout == (
        "demo-project\n403 localvertex lets nothing leave by plain HTTP: example.com\n\n"
    ), done.stderr


def test_an_upload_as_tensorflow_sends_it_is_taken(run_inside, unique):
    # Its own client sends both headers; http.client sends what it is told to.
    script = (
        "import http.client, os, ssl, urllib.parse\n"
        "proxy = urllib.parse.urlsplit(os.environ['https_proxy'])\n"
        "c = http.client.HTTPSConnection(proxy.hostname, proxy.port, timeout=30)\n"
        "c.set_tunnel('www.googleapis.com', 443)\n"
        "path = '/upload/storage/v1/b/demo-bucket/o?uploadType=media&name=UNIQUE'\n"
        "body = b'Transfer-Encoding: identity'\n"
        "c.putrequest('POST', path)\n"
        "c.putheader('Content-Length', str(len(body)))\n"
        "c.putheader('Transfer-Encoding', 'identity')\n"
        "c.endheaders(body)\n"
        "answer = c.getresponse()\n"
        "print(answer.status, len(answer.read()) > 0)\n"
        "c.request('GET', '/storage/v1/b/demo-bucket/o/UNIQUE?alt=media')\n"
        "print(c.getresponse().read().decode())"
    ).replace("UNIQUE", unique)
    done = run_inside(script)

    assert done.stdout == "200 True\nTransfer-Encoding: identity\n", done.stderr


def test_a_job_finds_googles_tools_and_is_told_of_what_they_do_not_do(aip, unique):
    job = aip.CustomJob(
        display_name=unique,
        staging_bucket="gs://demo-bucket",
        worker_pool_specs=[
            {
                "machine_spec": {"machine_type": "n1-standard-4"},
                "replica_count": 1,
                "container_spec": {
                    "image_uri": "us-docker.pkg.dev/demo/images/environment:1",
                    "command": ["sh", "-ec"],
                    "args": [
                        f"echo hello > a.txt; gsutil cp a.txt gs://demo-bucket/{unique}/a.txt; "
                        f'test "$(gcloud storage cp gs://demo-bucket/{unique}/a.txt -)" = hello; '
                        "bq query 'SELECT 1'"
                    ],
                },
            }
        ],
    )
    with pytest.raises(RuntimeError, match="localvertex does not do this command: bq query"):
        job.run()


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
