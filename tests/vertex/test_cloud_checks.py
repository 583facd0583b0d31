"""`doctune doctor --cloud`: each line says what was found, or what is missing and its fix."""

from typing import Any

import pytest
from google.api_core.exceptions import Forbidden
from google.cloud.aiplatform_v1 import PipelineServiceClient
from google.cloud.resourcemanager_v3 import ProjectsClient

from doctune.configuration.settings import VertexSettings
from doctune.findings import Finding
from doctune.vertex import session
from doctune.vertex.cloud_checks import PROJECT_PERMISSIONS, diagnose_cloud
from doctune.vertex.session import storage_client
from tests.vertex.conftest import BUCKET, IMAGES, LOCATION, PROJECT

pytestmark = pytest.mark.usefixtures("vertex", "bucket")


@pytest.fixture(scope="module")
def bucket(vertex: None) -> None:
    found = storage_client().bucket(BUCKET.removeprefix("gs://"))
    if not found.exists():
        storage_client().create_bucket(found, location=LOCATION)


def _settings(**changes: Any) -> VertexSettings:
    values = {
        "project": PROJECT,
        "location": LOCATION,
        "staging_bucket": BUCKET,
        "images": {"prefix": IMAGES, "tag": "1"},
        "endpoint": {"name": "handbook"},
    }
    return VertexSettings(**(values | changes))


def _findings(**changes: Any) -> dict[str, Finding]:
    return {finding.name: finding for finding in diagnose_cloud(_settings(**changes))}


def test_a_project_that_has_everything_is_all_right() -> None:
    findings = _findings()

    assert [name for name, finding in findings.items() if finding.ok] == [
        "credentials",
        "project",
        "Vertex AI",
        "staging bucket",
        "image repository",
        "permissions",
    ]
    assert findings["credentials"].found.endswith("gserviceaccount.com")
    assert not findings["quota"].required  # the Vertex AI of this machine has none to read


def test_a_bucket_that_is_not_there_is_missing_with_the_command_that_makes_it() -> None:
    finding = _findings(staging_bucket="gs://not-there-at-all")["staging bucket"]

    assert not finding.ok
    assert "gcloud storage buckets create gs://not-there-at-all" in finding.fix


def test_a_bucket_in_another_region_is_said() -> None:
    finding = _findings(location="europe-west6")["staging bucket"]

    assert not finding.ok
    assert finding.found == f"it is in {LOCATION}, but runs are in europe-west6"


def test_permissions_that_the_account_lacks_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    granted = type("Answer", (), {"permissions": PROJECT_PERMISSIONS[1:]})
    monkeypatch.setattr(ProjectsClient, "test_iam_permissions", lambda *_, **__: granted)

    finding = _findings()["permissions"]

    assert not finding.ok
    assert PROJECT_PERMISSIONS[0] in finding.found
    assert PROJECT_PERMISSIONS[1] not in finding.found
    assert "roles/aiplatform.user" in finding.fix


def test_an_api_that_is_not_enabled_is_fixed_by_enabling_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise Forbidden("Vertex AI API has not been used in project 1 before or it is disabled.")

    monkeypatch.setattr(PipelineServiceClient, "list_pipeline_jobs", refuse)

    finding = _findings()["Vertex AI"]

    assert (finding.ok, finding.found) == (False, "the API is not enabled")
    assert finding.fix == f"gcloud services enable aiplatform.googleapis.com --project {PROJECT}"


def test_without_credentials_nothing_else_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    from google.auth.credentials import AnonymousCredentials

    invalid = session.Session(PROJECT, LOCATION, BUCKET, AnonymousCredentials())
    monkeypatch.setattr(session, "_current", invalid)

    (finding,) = diagnose_cloud(_settings())

    assert (finding.name, finding.ok) == ("credentials", False)
    assert "gcloud auth application-default login" in finding.fix


def test_a_quota_that_is_too_small_is_named_with_what_is_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from doctune.vertex import quotas

    monkeypatch.setattr(
        quotas, "limits_of", lambda project, location, metrics: dict.fromkeys(metrics, 1)
    )

    lacking = [f for f in diagnose_cloud(_settings()) if f.name == "quota" and not f.ok]

    assert lacking
    assert all("1 of " in finding.found for finding in lacking)
    assert all(finding.required for finding in lacking)
    assert f"project={PROJECT}" in lacking[0].fix
