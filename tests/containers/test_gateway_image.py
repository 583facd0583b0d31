"""The gateway's image by Cloud Run's contract: PORT, SIGTERM, a read-only root, no root user."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from doctune.database.engine import open_database
from doctune.database.schema import prepare
from doctune.gateway.keys import create_key
from doctune.localvertex.ports import free_port
from tests.containers.conftest import Engine
from tests.gateway.conftest import MESSAGES
from tests.gateway.upstream import WORDS, FakeUpstream

pytestmark = pytest.mark.containers

START_SECONDS = 120


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream.run() as started:
        yield started


def settings(shared: Path, upstream: FakeUpstream) -> dict[str, dict[str, str]]:
    """Writes the settings and returns the volumes that bring them into the container."""
    config = shared / "config"
    config.mkdir()
    models = f"models: {{handbook: {{upstreams: ['{upstream.address}']}}}}\n"
    (config / "gateway.yaml").write_text(models)
    return {
        str(config): {"bind": "/etc/doctune", "mode": "ro"},
        str(shared): {"bind": str(shared), "mode": "rw"},
    }


def test_it_answers_on_its_port_with_a_read_only_root_and_ends_at_sigterm(
    containers: Engine, shared: Path, upstream: FakeUpstream
) -> None:
    database = f"sqlite:///{shared}/gateway.db"
    opened = open_database(database)
    prepare(opened)
    key = create_key(opened, "ana")
    opened.dispose()
    (shared / "gateway.db").chmod(0o666)  # the container's user is another
    port = free_port()
    container = containers.start(
        "gateway",
        environment={"PORT": str(port), "DATABASE_URL": database},
        volumes=settings(shared, upstream),
    )
    url, headers = f"http://127.0.0.1:{port}", {"authorization": f"Bearer {key}"}
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                ready = httpx.get(f"{url}/readyz", timeout=10)
                break
            except httpx.TransportError:
                container.reload()
                assert container.status == "running", container.logs().decode()
                assert time.monotonic() < deadline, f"waited {START_SECONDS} s for {url}"
                time.sleep(0.2)
        asked = {"model": "handbook", "messages": MESSAGES}
        chat = f"{url}/v1/chat/completions"
        whole = httpx.post(chat, json=asked, headers=headers, timeout=30)
        streamed = httpx.post(chat, json={**asked, "stream": True}, headers=headers, timeout=30)
        page = httpx.get(f"{url}/", timeout=30)
        started = time.monotonic()
        container.stop(timeout=40)
        seconds = time.monotonic() - started
        code = container.wait(timeout=60)["StatusCode"]
        logged = container.logs().decode()
    finally:
        container.remove(force=True)

    assert ready.status_code == 200, ready.text
    assert whole.json()["choices"][0]["message"]["content"] == "".join(WORDS)
    assert streamed.text.endswith("data: [DONE]\n\n")
    assert page.status_code == 200
    assert (code, seconds < 30) == (0, True), logged
    assert key not in logged
    # What SIGTERM found unwritten is in the database.
    with open_database(database).connect() as connection:
        rows = connection.exec_driver_sql("SELECT count(*) FROM predictions").scalar()
    assert rows == 2


def test_without_a_key_it_ends_with_one_line(
    containers: Engine, shared: Path, upstream: FakeUpstream
) -> None:
    ended = containers.run("gateway", None, volumes=settings(shared, upstream))

    assert ended.code == 2, ended.output
    (line,) = ended.output.strip().splitlines()
    assert "doctune gateway keys create" in line
    assert "nobody has a key" in json.dumps(line)
