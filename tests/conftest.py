"""What all tests share: nothing of the user's own configuration or cache is touched."""

import gc
import os
from collections.abc import Iterator

import pytest

from doctune.localvertex.certificates import ensure_certificates

pytest_plugins = ["tests.plugins.scheduling", "tests.plugins.time_limit"]

# What programs are installed with, whatever a test has set since.
OUTSIDE = dict(os.environ)

# Before any library of Google's or Hugging Face's is imported.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# gRPC reads its roots once a process. Whichever test speaks first, the local Vertex AI of a later
# one must be trusted, or its clients try for a minute each time.
os.environ["GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"] = str(ensure_certificates().authority)

# Thousands of tests and their libraries are in memory for good; by default the collector goes
# through them again and again, which takes a sixth of the time of collecting the tests.
gc.set_threshold(20_000, 20, 20)


def pytest_collection_finish() -> None:
    """Takes what the collection left out of the garbage collector's rounds."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in list(os.environ):
        if variable.startswith("DOCTUNE_") and variable != "DOCTUNE_CACHE":
            monkeypatch.delenv(variable)


@pytest.fixture(autouse=True)
def _no_proxy_left_behind() -> Iterator[None]:
    """Fails the test that leaves the proxy of a stopped local Vertex AI to the next ones."""
    before = _proxies()
    yield
    assert _proxies() == before


def _proxies() -> dict[str, str]:
    return {name: url for name, url in os.environ.items() if name.lower().endswith("_proxy")}
