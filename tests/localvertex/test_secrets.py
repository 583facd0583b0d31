"""Secret Manager, as Google's own client reads it over both wires."""

from typing import Any

import pytest
from google.api_core.exceptions import BadRequest, Conflict, NotFound
from google.auth.credentials import AnonymousCredentials
from google.cloud.secretmanager_v1 import Replication, Secret, SecretManagerServiceClient

PROJECT = "projects/demo-project"
SECRET = Secret(replication=Replication(automatic=Replication.Automatic()))


@pytest.fixture(params=["rest", "grpc"])
def client(environment: Any, request: pytest.FixtureRequest) -> SecretManagerServiceClient:
    return SecretManagerServiceClient(transport=request.param, credentials=AnonymousCredentials())


@pytest.fixture
def secret(client: SecretManagerServiceClient, unique: str) -> str:
    made = client.create_secret(parent=PROJECT, secret_id=unique, secret=SECRET)
    return made.name


def _add(client: SecretManagerServiceClient, secret: str, text: str) -> str:
    return client.add_secret_version(parent=secret, payload={"data": text.encode()}).name


def test_a_version_gives_what_was_put_into_it(
    client: SecretManagerServiceClient, secret: str
) -> None:
    first, second = _add(client, secret, "sesame"), _add(client, secret, "öffne dich")

    assert first.endswith("/versions/1")
    assert client.access_secret_version(name=first).payload.data == b"sesame"
    latest = client.access_secret_version(name=f"{secret}/versions/latest")
    assert latest.name == second
    assert latest.payload.data.decode() == "öffne dich"
    assert [version.name for version in client.list_secret_versions(parent=secret)] == [
        second,
        first,
    ]


def test_a_disabled_version_cannot_be_accessed(
    client: SecretManagerServiceClient, secret: str
) -> None:
    version = _add(client, secret, "sesame")

    assert client.disable_secret_version(name=version).state.name == "DISABLED"
    with pytest.raises(BadRequest):
        client.access_secret_version(name=version)
    client.enable_secret_version(name=version)
    assert client.access_secret_version(name=version).payload.data == b"sesame"


def test_a_deleted_secret_is_gone_with_its_versions(
    client: SecretManagerServiceClient, secret: str
) -> None:
    version = _add(client, secret, "sesame")
    assert secret in [found.name for found in client.list_secrets(parent=PROJECT)]

    client.delete_secret(name=secret)

    for name in (version, f"{secret}/versions/latest"):
        with pytest.raises(NotFound):
            client.access_secret_version(name=name)
    with pytest.raises(NotFound):
        client.get_secret(name=secret)


def test_what_secret_manager_refuses_is_refused(
    client: SecretManagerServiceClient, secret: str
) -> None:
    with pytest.raises(Conflict):
        client.create_secret(parent=PROJECT, secret_id=secret.rpartition("/")[2], secret=SECRET)
    with pytest.raises(BadRequest):
        client.create_secret(parent=PROJECT, secret_id=f"{PROJECT} b", secret=SECRET)
    with pytest.raises(BadRequest):
        client.add_secret_version(parent=secret, payload={"data": b""})
    with pytest.raises(NotFound):
        client.access_secret_version(name=f"{secret}/versions/latest")
