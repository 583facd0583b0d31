"""Credentials, and Google's errors as one line with advice."""

import subprocess
import sys
from pathlib import Path

import pytest
from google.api_core import exceptions as api
from google.auth import exceptions as auth

from doctune.errors import DeploymentError
from doctune.vertex.errors import google_errors
from doctune.vertex.labels import clean_labels, filter_by_name


def test_without_credentials_the_error_says_how_to_sign_in(tmp_path: Path) -> None:
    script = "from doctune.vertex import init_session; init_session('p-1', 'us-central1', 'gs://b')"
    # A process of its own, with no credentials of the user's and no metadata server.
    environment = {"PATH": "", "CLOUDSDK_CONFIG": str(tmp_path), "NO_GCE_CHECK": "true"}
    result = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    last = result.stderr.strip().splitlines()[-1]
    assert "ConfigurationError: could not find Google Cloud credentials" in last
    assert "gcloud auth application-default login" in last


def test_importing_the_package_imports_nothing_of_googles() -> None:
    script = (
        "import sys, doctune.vertex; heavy = ('google.api', 'google.cloud.', 'torch', 'requests'); "
        "print([name for name in sys.modules if name.startswith(heavy)])"
    )
    assert _printed(script) == "[]"


def test_a_session_for_storage_alone_does_not_load_the_sdk() -> None:
    script = (
        "import sys; from google.auth import credentials; import google.auth; "
        "google.auth.default = lambda scopes: (credentials.AnonymousCredentials(), None); "
        "from doctune.vertex.session import begin_session, storage_client; "
        "begin_session('p-1', 'us-central1', 'gs://b'); "
        "print(storage_client().project, 'google.cloud.aiplatform' in sys.modules)"
    )
    assert _printed(script) == "p-1 False"


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (api.PermissionDenied("no"), "no. Give the account the role"),
        (api.Forbidden("no"), "no. Give the account the role"),
        (api.NotFound("Model 1 is not found."), "is not found. Check the project"),
        (api.ResourceExhausted("out of CPUs"), "out of CPUs. The quota is used up"),
        (api.Unauthenticated("who?"), "gcloud auth application-default login"),
        (auth.RefreshError("expired"), "not valid any more"),
        (api.InvalidArgument("POST https://a.b/c: bad\nmore"), "could not try: bad."),
        (api.ServiceUnavailable("later"), "run it again"),
        (api.RetryError("timeout", api.InternalServerError("broken disk")), "broken disk. It took"),
    ],
)
def test_each_kind_of_error_comes_with_its_fix(error: Exception, says: str) -> None:
    with pytest.raises(DeploymentError) as caught, google_errors("try", DeploymentError):
        raise error
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_labels_are_made_to_fit() -> None:
    given = {"Run": "Train & Deploy", "9digest": "f" * 64, "none": "", "commit": 12, "": "x"}
    assert clean_labels(given) == {"run": "train---deploy", "digest": "f" * 63, "commit": "12"}


def test_names_are_quoted_in_filters() -> None:
    assert filter_by_name('a "b" \\c') == 'display_name="a \\"b\\" \\\\c"'


def _printed(script: str) -> str:
    """Returns what a script prints in an interpreter of its own."""
    result = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return result.stdout.strip()
