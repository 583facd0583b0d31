"""One localvertex for the package, reached by this process as by any program: by environment."""

import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from doctune.localvertex import LocalVertex, LocalVertexConfig
from doctune.vertex import init_session, smoke_test
from tests.polling import poll_quickly
from tests.serving.tiny_model import write_tiny_model

PROJECT = "doctune-test"
LOCATION = "us-central1"
BUCKET = "gs://doctune-test-staging"
IMAGES = "us-central1-docker.pkg.dev/doctune-test/images"

_LIGHT_SERVER = [sys.executable, str(Path(__file__).parent / "programs" / "model_server.py")]


@pytest.fixture(scope="package")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalVertex]:
    with local_vertex(tmp_path_factory.mktemp("localvertex")) as handle:
        yield handle


@pytest.fixture(scope="package")
def vertex(local: LocalVertex) -> Iterator[None]:
    with vertex_session(local):
        yield


@contextmanager
def local_vertex(folder: Path, **environment: str) -> Iterator[LocalVertex]:
    """A local Vertex AI with this project's model servers, and some that fail.

    Its programs and steps have the variables of `environment`.

    Other packages make fixtures of it: one that they import would have no package of its own, and
    last until all tests have ended.
    """
    config = LocalVertexConfig(
        project=PROJECT,
        location=LOCATION,
        state_dir=folder,
        programs={
            "*/serving:*": [sys.executable, "-m", "doctune.serving"],
            "*/light:*": _LIGHT_SERVER,
            "*/failing:*": [*_LIGHT_SERVER, "--fail"],
            "*/empty:*": [*_LIGHT_SERVER, "--empty"],
            "*/exiting:*": [*_LIGHT_SERVER, "--exit"],
            "*/flagged:*": [*_LIGHT_SERVER, "--fail-where"],
        },
        environment={"OMP_NUM_THREADS": "1", **environment},
    )
    with LocalVertex.attach_or_start(config) as handle:
        yield handle


@contextmanager
def vertex_session(local: LocalVertex) -> Iterator[None]:
    """A session whose clients talk to the local Vertex AI."""
    from google.auth.compute_engine import _metadata

    with pytest.MonkeyPatch.context() as patch:
        for name, value in local.environment.items():
            patch.setenv(name, value)
        # The SDK opens a connection a call; reading the public authorities for each takes 50 ms.
        authority = local.environment["GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"]
        patch.setenv("REQUESTS_CA_BUNDLE", authority)
        # google.auth reads this one variable when it is imported, which may have been long ago.
        patch.setattr(_metadata, "_GCE_METADATA_HOST", local.environment["GCE_METADATA_HOST"])
        patch.setattr(smoke_test, "_FIRST_PAUSE_SECONDS", 0.05)
        patch.setattr(smoke_test, "_LONGEST_PAUSE_SECONDS", 0.05)
        patch.setattr(smoke_test, "_LEAST_SECONDS", 1.0)
        # doctune speaks REST, which passes through ordinary proxies and cannot block as gRPC can.
        patch.setattr(grpc, "secure_channel", _refuse_grpc)
        poll_quickly(patch)
        init_session(PROJECT, LOCATION, BUCKET)
        yield


def _refuse_grpc(target: str, *_: object, **__: object) -> None:
    raise AssertionError(f"doctune opened a gRPC channel to {target}: give its client `rest`.")


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def unique() -> str:
    """A name that no other test uses."""
    return f"t-{uuid.uuid4().hex[:10]}"
