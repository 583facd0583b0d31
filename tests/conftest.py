"""What all tests share: nothing of the user's own configuration or cache is touched."""

import os

import pytest

from doctune.localvertex.certificates import ensure_certificates

pytest_plugins = ["tests.plugins.scheduling", "tests.plugins.time_limit"]

# Before any library of Google's or Hugging Face's is imported.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# gRPC reads its roots once a process. Whichever test speaks first, the local Vertex AI of a later
# one must be trusted, or its clients try for a minute each time.
os.environ["GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"] = str(ensure_certificates().authority)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in list(os.environ):
        if variable.startswith("DOCTUNE_") and variable != "DOCTUNE_CACHE":
            monkeypatch.delenv(variable)
