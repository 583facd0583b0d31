"""Artifact Registry's packages of pipelines: uploads, tags, deletions."""

from tests.localvertex.wire import SESSION

TEMPLATES = "us-central1-kfp.pkg.dev"
API = "artifactregistry.googleapis.com"
SPEC = b"pipelineInfo:\n  name: hello\n"


def ask(local, host, path, method="GET", **options):
    return SESSION.request(
        method, f"{local.endpoint}{path}", headers={"Host": host}, timeout=30, **options
    )


def upload(local, repository, content):
    form = {"files": {"content": ("spec.yaml", content)}, "data": {"tags": "latest"}}
    return ask(local, TEMPLATES, f"/demo-project/{repository}", "POST", **form)


def test_only_what_is_there_and_without_tags_is_deleted(local, unique):
    uploaded = upload(local, unique, SPEC)
    assert uploaded.status_code == 200, uploaded.text
    package = f"/v1/projects/demo-project/locations/us-central1/repositories/{unique}/packages"
    version = f"{package}/hello/versions/{uploaded.text.partition('/')[2]}"
    assert ask(local, API, version).status_code == 200

    tagged = ask(local, API, version, "DELETE")
    assert (tagged.status_code, "has the tags latest" in tagged.text) == (400, True)
    assert ask(local, API, f"{package}/hello/tags/latest", "DELETE").status_code == 200
    assert ask(local, API, version, "DELETE").json()["done"]
    assert ask(local, API, version, "DELETE").status_code == 404
    assert ask(local, API, f"{package}/hello", "DELETE").status_code == 404


def test_a_file_that_is_no_pipeline_is_refused(local, unique):
    refused = upload(local, unique, b"name: nothing\n")
    assert (refused.status_code, "not a compiled pipeline" in refused.text) == (400, True)
