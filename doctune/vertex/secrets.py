"""Secrets by reference: read from Secret Manager where they are used, and never stored."""

from __future__ import annotations

import base64
from typing import TypeVar

from pydantic import BaseModel

from doctune import limits
from doctune.errors import ConfigurationError
from doctune.vertex.errors import google_errors

_API = "https://secretmanager.googleapis.com/v1"
_SUFFIX = "_secret"
_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)

_Options = TypeVar("_Options", bound=BaseModel)


def read_secret(version: str) -> str:
    """Returns the text of a secret's version.

    Args:
        version: `projects/PROJECT/secrets/NAME/versions/NUMBER`, or `latest` for the number.

    Raises:
        ConfigurationError: There are no credentials, there is no such version or no permission, or
            it is not text.
    """
    import google.auth
    from google.api_core.exceptions import from_http_response
    from google.auth.transport.requests import AuthorizedSession

    # Plain REST: the images of the steps that need a secret have no gRPC.
    with google_errors(f"read the secret {version}", ConfigurationError):
        credentials, _ = google.auth.default(scopes=_SCOPES)
        answer = AuthorizedSession(credentials).get(
            f"{_API}/{version}:access", timeout=limits.REQUEST.seconds
        )
        if not answer.ok:
            raise from_http_response(answer)
    try:
        return base64.b64decode(answer.json()["payload"]["data"]).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"the secret {version} is not UTF-8 text.") from error


def with_secrets(options: _Options) -> _Options:
    """Returns options with the secrets that their `..._secret` fields name filled in.

    For example, `password_secret` names a secret's version, whose text becomes `password`.

    Raises:
        ConfigurationError: As `read_secret`.
    """
    named = {
        field.removesuffix(_SUFFIX): version
        for field in type(options).model_fields
        if field.endswith(_SUFFIX) and (version := getattr(options, field))
    }
    if not named:
        return options
    return options.model_copy(
        update={field: read_secret(version) for field, version in named.items()}
    )
