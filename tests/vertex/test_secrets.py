"""A secret is named in the configuration and read where it is used."""

from pathlib import Path

import pytest
from google.cloud.secretmanager_v1 import Replication, Secret, SecretManagerServiceClient

from doctune.documents import ParseOptions, parse_pdf
from doctune.errors import ConfigurationError
from doctune.vertex.secrets import read_secret, with_secrets
from tests.documents.test_hostile import SESAME, encrypted_pdf
from tests.vertex.conftest import PROJECT

pytestmark = pytest.mark.usefixtures("vertex")


def _store(name: str, data: bytes) -> str:
    client = SecretManagerServiceClient(transport="rest")
    automatic = Secret(replication=Replication(automatic=Replication.Automatic()))
    made = client.create_secret(parent=f"projects/{PROJECT}", secret_id=name, secret=automatic)
    return client.add_secret_version(parent=made.name, payload={"data": data}).name


def test_the_password_that_a_reference_names_opens_the_file(tmp_path: Path, unique: str) -> None:
    path = encrypted_pdf(tmp_path)
    _store(unique, SESAME.encode())
    reference = f"projects/{PROJECT}/secrets/{unique}/versions/latest"
    options = ParseOptions(password_secret=reference)

    opened = parse_pdf(path, with_secrets(options))

    assert opened.text == "A secret about pumps"
    assert SESAME not in repr(with_secrets(options))


def test_options_without_a_reference_are_left_alone() -> None:
    options = ParseOptions(password=SESAME)

    assert with_secrets(options) is options


def test_a_secret_that_is_not_there_is_one_line() -> None:
    name = f"projects/{PROJECT}/secrets/nothing/versions/1"

    with pytest.raises(ConfigurationError, match=f"could not read the secret {name}") as raised:
        read_secret(name)

    assert "\n" not in str(raised.value)


def test_a_secret_that_is_no_text_is_refused(unique: str) -> None:
    name = _store(unique, b"\xff\xfe")

    with pytest.raises(ConfigurationError, match="is not UTF-8 text"):
        read_secret(name)
