"""Checks of a Google Cloud project before runs are sent to it, each with how to fix what fails."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from doctune import limits
from doctune.errors import ConfigurationError, DoctuneError
from doctune.findings import Finding
from doctune.vertex.errors import explain, google_error_types
from doctune.vertex.session import current_session, storage_client

if TYPE_CHECKING:
    from doctune.configuration.settings import VertexSettings

# The permissions that the commands of docs/cloud.md and a run of train-and-deploy need.
PROJECT_PERMISSIONS = (
    "aiplatform.customJobs.create",
    "aiplatform.endpoints.create",
    "aiplatform.endpoints.deploy",
    "aiplatform.endpoints.predict",
    "aiplatform.models.upload",
    "aiplatform.pipelineJobs.cancel",
    "aiplatform.pipelineJobs.create",
    "aiplatform.pipelineJobs.list",
    "aiplatform.schedules.create",
)
BUCKET_PERMISSIONS = (
    "storage.buckets.get",
    "storage.objects.create",
    "storage.objects.delete",
    "storage.objects.get",
    "storage.objects.list",
)
_REPOSITORY = re.compile(
    r"(?P<location>[a-z0-9-]+)-docker\.pkg\.dev/(?P<project>[^/]+)/(?P<name>[^/]+)"
)
_DISABLED = ("SERVICE_DISABLED", "has not been used in project", "API has not been enabled")


def diagnose_cloud(settings: VertexSettings) -> list[Finding]:
    """Checks credentials, APIs, bucket, images, permissions and quota; call `init_session` first.

    Without credentials, only the credentials are checked.
    """
    credentials = _checked("credentials", _LOGIN, _credentials)
    if not credentials.ok:
        return [credentials]
    project = settings.project
    return [
        credentials,
        _checked("project", "set project in vertex_config.yaml", lambda: _project(project)),
        _checked(
            "Vertex AI",
            _enable("aiplatform", project),
            lambda: _vertex(settings),
        ),
        _checked("staging bucket", _bucket_fix(settings), lambda: _bucket(settings)),
        _checked(
            "image repository",
            f"{_enable('artifactregistry', project)}, and create the repository: docs/gcp-setup.md",
            lambda: _repository(settings.images.prefix),
        ),
        _checked(
            "permissions",
            "give the account roles/aiplatform.user: docs/gcp-setup.md",
            lambda: _permissions(project),
        ),
        *_quota(settings),
    ]


_LOGIN = (
    "gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS to a service "
    "account's file"
)


def _enable(service: str, project: str) -> str:
    return f"gcloud services enable {service}.googleapis.com --project {project}"


def _checked(name: str, fix: str, check: Callable[[], str]) -> Finding:
    """Runs a check and returns its finding; an error of Google or doctune is a failed one."""
    try:
        return Finding(name, True, check())
    except DoctuneError as error:
        return Finding(name, False, str(error), fix)
    except google_error_types() as error:
        if any(sign in str(error) for sign in _DISABLED):
            return Finding(name, False, "the API is not enabled", fix)
        return Finding(name, False, explain(error), fix)


def _credentials() -> str:
    from google.auth.transport.requests import Request

    credentials = current_session().credentials
    credentials.refresh(Request())
    email = getattr(credentials, "service_account_email", "") or getattr(credentials, "account", "")
    return email or "a user's"


def _project(project: str) -> str:
    from google.cloud.resourcemanager_v3 import ProjectsClient

    client = ProjectsClient(credentials=current_session().credentials, transport="rest")
    found = client.get_project(name=f"projects/{project}")
    if found.state.name != "ACTIVE":
        raise ConfigurationError(f"{project} is {found.state.name.lower()}")
    return f"{found.project_id} ({found.name.removeprefix('projects/')})"


def _vertex(settings: VertexSettings) -> str:
    from google.cloud.aiplatform_v1 import ListPipelineJobsRequest, PipelineServiceClient

    client = PipelineServiceClient(
        credentials=current_session().credentials,
        transport="rest",
        client_options={"api_endpoint": f"{settings.location}-aiplatform.googleapis.com"},
    )
    parent = f"projects/{settings.project}/locations/{settings.location}"
    next(iter(client.list_pipeline_jobs(ListPipelineJobsRequest(parent=parent, page_size=1))), None)
    return f"answers in {settings.location}"


def _bucket(settings: VertexSettings) -> str:
    bucket = storage_client().bucket(settings.staging_bucket.removeprefix("gs://"))
    granted = set(bucket.test_iam_permissions(list(BUCKET_PERMISSIONS)))
    missing = [permission for permission in BUCKET_PERMISSIONS if permission not in granted]
    if missing:
        raise ConfigurationError(f"the account lacks {', '.join(missing)}")
    bucket.reload()
    place = str(bucket.location).lower()
    if "-" in place and place != settings.location:
        raise ConfigurationError(f"it is in {place}, but runs are in {settings.location}")
    return f"{settings.staging_bucket} in {place}"


def _bucket_fix(settings: VertexSettings) -> str:
    return (
        f"gcloud storage buckets create {settings.staging_bucket} --project {settings.project} "
        f"--location {settings.location}, and give the account roles/storage.objectUser and "
        "roles/storage.legacyBucketReader on it"
    )


def _repository(prefix: str) -> str:
    from google.auth.transport.requests import AuthorizedSession

    match = _REPOSITORY.match(prefix)
    if match is None:
        return f"{prefix} is not in Artifact Registry: not checked"
    name = f"projects/{match['project']}/locations/{match['location']}/repositories/{match['name']}"
    session = AuthorizedSession(current_session().credentials)
    url = f"https://artifactregistry.googleapis.com/v1/{name}/packages"
    response = session.get(url, params={"pageSize": "1"}, timeout=limits.REQUEST.seconds)
    if not response.ok:
        raise ConfigurationError(_said(response))
    return name


def _said(response: Any) -> str:
    try:
        error = response.json()["error"]
        return f"{error['status']}: {error['message'].rstrip('.')}"
    except (ValueError, KeyError, TypeError):
        return f"HTTP {response.status_code}"


def _permissions(project: str) -> str:
    from google.cloud.resourcemanager_v3 import ProjectsClient

    client = ProjectsClient(credentials=current_session().credentials, transport="rest")
    answer = client.test_iam_permissions(
        resource=f"projects/{project}", permissions=list(PROJECT_PERMISSIONS)
    )
    missing = [name for name in PROJECT_PERMISSIONS if name not in set(answer.permissions)]
    if missing:
        raise ConfigurationError(f"the account lacks {', '.join(missing)}")
    return f"{len(PROJECT_PERMISSIONS)} granted"


def _quota(settings: VertexSettings) -> Iterator[Finding]:
    """Yields a finding for each quota that is too low, or one that says that all suffice.

    A quota that cannot be read is not a failure: submitting needs no permission to see quotas.
    """
    from doctune.compute.prices import load_prices
    from doctune.compute.quotas import compare, needs_of
    from doctune.vertex.quotas import limits_of

    more = f"https://console.cloud.google.com/iam-admin/quotas?project={settings.project}"
    try:
        needs = needs_of(settings, load_prices())
        limits = limits_of(settings.project, settings.location, [need.metric for need in needs])
    except ConfigurationError as error:
        fix = "roles/cloudquotas.viewer, or look yourself: doctune quota --offline"
        yield Finding("quota", False, str(error), fix, required=False)
        return
    lacking = [standing for standing in compare(needs, limits) if not standing.enough]
    for standing in lacking:
        found = f"{standing.need.metric}: {standing.limit or 0} of {standing.need.amount}"
        yield Finding("quota", False, found, f"ask for more at {more}")
    if not lacking:
        yield Finding("quota", True, f"enough of {len(needs)}")
