"""Secrets by reference: what Secret Manager holds is read where it is used, and kept nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from doctune.errors import ConfigurationError
from doctune.vertex.errors import google_errors

if TYPE_CHECKING:
    from doctune.documents import ParseOptions


def read_secret(version: str) -> str:
    """Returns what a version of a secret holds.

    Args:
        version: `projects/PROJECT/secrets/NAME/versions/NUMBER`, or `latest` for the number.

    Raises:
        ConfigurationError: There are no credentials, no such version, no permission, or it is no
            text.
    """
    from google.cloud.secretmanager_v1 import SecretManagerServiceClient

    with google_errors(f"read the secret {version}", ConfigurationError):
        client = SecretManagerServiceClient(transport="rest")
        payload = client.access_secret_version(name=version).payload.data
    try:
        return payload.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"the secret {version} is not UTF-8 text.") from error


def with_password(options: ParseOptions) -> ParseOptions:
    """Returns options with the password that `password_secret` names, if it names one.

    Raises:
        ConfigurationError: As `read_secret`.
    """
    if not options.password_secret:
        return options
    return options.model_copy(update={"password": read_secret(options.password_secret)})
