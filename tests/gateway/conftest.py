"""The gateway as a process, in front of a real model server and of one that fails on demand."""

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import httpx
import pytest
import yaml
from sqlalchemy import Engine

from doctune.database.engine import open_database
from doctune.gateway.keys import create_key
from doctune.gateway.options import LimitOptions
from doctune.localvertex.ports import free_port
from doctune.processes import start_process, stop_process
from tests.agent.conftest import corpus
from tests.gateway.upstream import FakeUpstream
from tests.serving.conftest import Server, start_server
from tests.serving.tiny_model import write_tiny_model

__all__ = ["corpus"]  # fixtures of elsewhere

ROOT = Path(__file__).parents[2]
MESSAGES = [{"role": "user", "content": "What does the pump have?"}]
START_SECONDS = 60


@dataclass
class Gateway:
    """A started gateway."""

    process: Popen
    url: str
    database_url: str
    engine: Engine
    key: str
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def headers(self, key: str | None = None) -> dict[str, str]:
        return {"authorization": f"Bearer {key or self.key}"}

    def post(self, route: str, body: Any, key: str | None = None, **headers: str) -> httpx.Response:
        return httpx.post(
            f"{self.url}{route}", json=body, headers=self.headers(key) | headers, timeout=60
        )

    def get(self, route: str, key: str | None = None) -> httpx.Response:
        return httpx.get(f"{self.url}{route}", headers=self.headers(key), timeout=30)

    def chat(
        self, key: str | None = None, *, headers: dict[str, str] | None = None, **fields: Any
    ) -> httpx.Response:
        body = {"model": "handbook", "messages": MESSAGES, "max_tokens": 8, **fields}
        return self.post("/v1/chat/completions", body, key, **(headers or {}))

    def new_key(self, name: str, **more: Any) -> str:
        limits = LimitOptions(
            **{k: more.pop(k) for k in list(more) if k in LimitOptions.model_fields}
        )
        key = create_key(self.engine, name, limits=limits, **more)
        time.sleep(2.1)  # keys are read again every two seconds
        return key


def start_gateway(folder: Path, options: dict[str, Any], database_url: str = "") -> Gateway:
    """Starts the gateway's command in a folder of its own and waits until it listens."""
    config = folder / "config"
    if not config.exists():
        shutil.copytree(ROOT / "config", config)
    (config / "gateway.yaml").write_text(yaml.safe_dump(options))
    database_url = database_url or f"sqlite:///{folder}/gateway.db"
    engine = open_database(database_url)
    from doctune.database.schema import prepare

    prepare(engine)
    name = f"tests-{time.monotonic_ns()}"
    key = create_key(engine, name, owner="tests", scopes=("chat", "feedback", "admin"))
    port = free_port()
    process = start_process(
        [sys.executable, "-m", "doctune", "gateway", "up", "--port", str(port)],
        environment={
            **os.environ,
            "DOCTUNE_CONFIG": str(config),
            "DATABASE_URL": database_url,
            "PYTHONPATH": str(ROOT),
        },
        cwd=folder,
        stdout=PIPE,
        stderr=(folder / "gateway.log").open("ab"),
    )
    gateway = Gateway(process, f"http://127.0.0.1:{port}", database_url, engine, key, folder)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{gateway.url}/healthz", timeout=5).status_code == 200:
                return gateway
        if process.poll() is not None:
            break
        time.sleep(0.05)
    pytest.fail(f"the gateway does not start: {(folder / 'gateway.log').read_text()}")


def stop_gateway(gateway: Gateway) -> None:
    stop_process(gateway.process.pid)
    gateway.process.communicate(timeout=40)
    gateway.engine.dispose()


@pytest.fixture(scope="session")
def model_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The real model server, with a tiny model."""
    server = start_server(str(write_tiny_model(tmp_path_factory.mktemp("artifact"))))
    try:
        server.wait_until_ready()
        yield server
    finally:
        stop_process(server.process.pid)
        server.process.communicate(timeout=40)


@pytest.fixture(scope="session")
def gateway(model_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway in front of the real model server."""
    upstream = f"{model_server.url}/v1#tuned"
    options = {
        "models": {"handbook": {"upstreams": [upstream]}, "other": {"upstreams": [upstream]}}
    }
    started = start_gateway(tmp_path_factory.mktemp("gateway"), options)
    try:
        yield started
    finally:
        stop_gateway(started)


@pytest.fixture
def faulty() -> Iterator[FakeUpstream]:
    """An upstream that fails as it is told."""
    with FakeUpstream.run() as upstream:
        yield upstream


@pytest.fixture
def spare() -> Iterator[FakeUpstream]:
    """A second one."""
    with FakeUpstream.run() as upstream:
        yield upstream


@pytest.fixture
def fronted(faulty: FakeUpstream, spare: FakeUpstream, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway in front of the one that fails, with the second to fall back to."""
    model = {
        "upstreams": [faulty.address, spare.address],
        "first_token_seconds": 2,
        "max_in_flight": 4,
        "max_waiting": 2,
        "queue_seconds": 1,
    }
    started = start_gateway(tmp_path, {"models": {"handbook": model}})
    try:
        yield started
    finally:
        stop_gateway(started)
