"""One server for the whole session: the tests use resources of their own."""

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from doctune.localvertex import LocalVertex, LocalVertexConfig
from tests.polling import poll_quickly

PROGRAMS = Path(__file__).parent / "programs"
PROJECT = "demo-project"
LOCATION = "us-central1"
NUMBER = "123456789012"
PARENT = f"projects/{NUMBER}/locations/{LOCATION}"
IMAGE = "us-docker.pkg.dev/demo/images/serving:1"
TRIAL_IMAGE = "us-docker.pkg.dev/demo/images/trial:1"
TRAINING_IMAGE = "us-docker.pkg.dev/demo/images/training:1"


def make_config(state_dir, **changes):
    serving = ["{python}", str(PROGRAMS / "serving.py")]
    values = {
        "project": PROJECT,
        "state_dir": state_dir,
        "programs": {
            "*/serving:*": serving,
            "*/broken:*": [*serving, "--broken"],
            "*/never-healthy:*": [*serving, "--never-healthy"],
            "*/training:*": ["{python}", str(PROGRAMS / "training.py")],
            "*/trial:*": ["{python}", str(PROGRAMS / "trial.py")],
            "*/environment:*": [],
        },
        "buckets": ("demo-bucket",),
        "restart_seconds": 1.5,
        "deploy_timeout_seconds": 30,
        "trusted_models": ("gs://endpoints-demo-project/trusted",),
    }
    return LocalVertexConfig(**(values | changes))


@pytest.fixture(scope="session", autouse=True)
def _shared_channels():
    """Lets all gRPC clients of this process to one address share a channel, closed in the end.

    The SDK opens a channel for nearly every call, some 700 in these tests, and leaves closing them
    to the garbage collector, which can block for ever with the interpreter's lock held
    (https://github.com/grpc/grpc/pull/42247).
    """
    from google.api_core import grpc_helpers

    create, channels = grpc_helpers.create_channel, {}

    def shared(target, *arguments, **options):
        if target not in channels:
            channels[target] = create(target, *arguments, **options)
            channels[target].close = lambda: None  # one client's end is not all clients'
        return channels[target]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grpc_helpers, "create_channel", shared)
        yield
    for channel in channels.values():
        type(channel).close(channel)


@pytest.fixture(scope="session")
def local(tmp_path_factory):
    with LocalVertex.attach_or_start(make_config(tmp_path_factory.mktemp("localvertex"))) as handle:
        yield handle


@pytest.fixture(scope="module")
def environment(local):
    """This process's clients talk to the server, as a program run inside would."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in local.environment.items():
            patch.setenv(name, value)
        poll_quickly(patch)
        yield local.environment


def pytest_generate_tests(metafunc):
    """Runs what uses the SDK over both wires, or over those that a module names as TRANSPORTS.

    Modules whose tests run programs name one: what the wire carries is covered by the others.
    """
    if "aip" in metafunc.fixturenames:
        transports = getattr(metafunc.module, "TRANSPORTS", ("rest", "grpc"))
        metafunc.parametrize("aip", transports, indirect=True, scope="module")


@pytest.fixture(scope="module")
def aip(environment, request):
    """google.cloud.aiplatform, over REST or gRPC."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import aiplatform

    aiplatform.init(
        project=PROJECT,
        location=LOCATION,
        staging_bucket="gs://demo-bucket",
        # In a process of its own the metadata server's would be used; see test_environment.py.
        credentials=AnonymousCredentials(),
        api_transport=request.param,
    )
    return aiplatform


@pytest.fixture(scope="session")
def run_inside(local):
    """Runs a Python script in a process of its own, with nothing but the environment."""

    def run(script, *arguments, timeout=120):
        return subprocess.run(
            [sys.executable, "-c", script, *arguments],
            env={**os.environ, **local.environment},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run


@pytest.fixture
def unique():
    """A word that no other test uses, for names and labels."""
    return f"t{uuid.uuid4().hex[:10]}"
