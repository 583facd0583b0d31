"""A tiny model, and the server program started for real."""

import contextlib
import os
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, Popen

import httpx
import pytest

from doctune.processes import start_process, stop_process
from tests.serving.tiny_model import write_tiny_model

ROOT = Path(__file__).parents[2]
# The environment in which a program of the tests is what `--engine vllm` starts.
IN_VLLMS_PLACE = {
    "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent / "programs"), str(ROOT)])
}


@dataclass
class Server:
    """A started server program."""

    process: Popen
    url: str

    def wait_until_ready(self, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/health").status_code == 200:
                    return
            if self.process.poll() is not None:
                pytest.fail(f"the server ended: {self.log()}")
            time.sleep(0.1)
        pytest.fail(f"the server is not ready after {seconds} s")

    def predict(self, body: object, timeout: float = 30) -> httpx.Response:
        return httpx.post(f"{self.url}/predict", json=body, timeout=timeout)

    def log(self) -> str:
        """Returns what the server wrote; ends it if it runs."""
        stop_process(self.process.pid)
        return self.process.communicate(timeout=60)[1].decode()


def start_server(model_uri: str, *flags: str, environment: dict[str, str] | None = None) -> Server:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    vertex = {"AIP_HTTP_PORT": str(port), "AIP_STORAGE_URI": model_uri, "OMP_NUM_THREADS": "1"}
    process = start_process(
        [sys.executable, "-m", "doctune.serving", *flags],
        environment={**os.environ, **vertex, **(environment or {})},
        stderr=PIPE,
    )
    return Server(process, f"http://127.0.0.1:{port}")


@pytest.fixture(scope="session")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("artifact"))


@pytest.fixture(scope="session")
def server(artifact: Path) -> Iterator[Server]:
    started = start_server(str(artifact))
    try:
        started.wait_until_ready()
        yield started
    finally:
        stop_process(started.process.pid)
        started.process.communicate(timeout=60)
