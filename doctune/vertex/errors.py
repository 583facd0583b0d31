"""Turns the errors of Google's clients into one line each, with how to fix them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from doctune.errors import DoctuneError

# What the REST clients put before the service's own words.
_REQUEST = re.compile(r"^(?:\d{3} )?(?:DELETE|GET|PATCH|POST|PUT) https?://\S+: ")

_LOGIN = "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS"


@contextlib.contextmanager
def google_errors(action: str, error_class: type[DoctuneError]) -> Iterator[None]:
    """Re-raises errors of Google's clients in the block as `error_class`.

    Args:
        action: What was being done, for the message: "upload the model to gs://...".
    """
    try:
        yield
    except google_error_types() as error:
        raise error_class(f"could not {action}: {explain(error)}") from error


def google_error_types() -> tuple[type[Exception], ...]:
    """Returns the exception types that Google's clients raise when a call fails."""
    from google.api_core.exceptions import GoogleAPICallError, RetryError
    from google.auth.exceptions import GoogleAuthError
    from requests.exceptions import RequestException

    return GoogleAPICallError, RetryError, GoogleAuthError, RequestException


def explain(error: BaseException) -> str:
    """Returns one line: what Google's client says is wrong, and how to fix it."""
    said = _first_line(error)
    advice = _advice(error)
    return f"{said}. {advice}" if advice else f"{said}."


def _first_line(error: BaseException) -> str:
    # The error of exhausted retries says only that; its cause says why.
    error = getattr(error, "cause", None) or error
    message = str(getattr(error, "message", "") or error)
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    line = lines[0] if lines else type(error).__name__
    return _REQUEST.sub("", line).rstrip(".")


def _advice(error: BaseException) -> str:
    """Returns how to fix an error; "" where there is nothing to add to its own message."""
    from google.api_core import exceptions as api
    from google.auth import exceptions as auth
    from requests.exceptions import RequestException

    # The classes of HTTP come before those of gRPC, which derive from them.
    known: list[tuple[type[BaseException], str]] = [
        (auth.DefaultCredentialsError, f"No credentials were found: {_LOGIN}."),
        (auth.RefreshError, f"The credentials are not valid any more: {_LOGIN}."),
        (auth.TransportError, "Is there a network, and does the proxy let Google's hosts through?"),
        (auth.GoogleAuthError, f"To sign in, {_LOGIN}."),
        (api.Unauthorized, f"To sign in, {_LOGIN}."),
        (
            api.Forbidden,
            "Give the account the role that holds this permission: roles/aiplatform.user for "
            "Vertex AI, roles/storage.objectAdmin on the bucket; and enable the API.",
        ),
        (api.NotFound, "Check the project, the location and the name."),
        (
            api.TooManyRequests,
            "The quota is used up: wait, or request more under IAM & Admin > Quotas.",
        ),
        (
            api.PreconditionFailed,
            "Somebody else has changed it in the meantime: check its state, then run this again.",
        ),
        (api.ServiceUnavailable, "This is usually temporary: run it again in a minute."),
        (api.GatewayTimeout, "It took too long: run it again."),
        (api.RetryError, "It took too long: run it again."),
        (RequestException, "Is there a network, and does the proxy let Google's hosts through?"),
    ]
    return next((advice for kind, advice in known if isinstance(error, kind)), "")
