"""The gateway as its image starts it: by Cloud Run's contract, with the image's packages alone."""

import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from doctune.database.engine import open_database
from doctune.database.schema import prepare
from doctune.gateway.keys import create_key
from doctune.localvertex.ports import free_port
from tests.gateway.conftest import MESSAGES, ROOT, START_SECONDS
from tests.gateway.upstream import FakeUpstream

IMAGE = ROOT / "containers/gateway"
ONLY_LOCKED = Path(__file__).with_name("programs") / "only_locked.py"


def command(*arguments: str) -> list[str]:
    return [sys.executable, str(ONLY_LOCKED), str(IMAGE / "requirements.txt"), *arguments]


def start(folder: Path, **environment: str) -> subprocess.Popen[bytes]:
    """Starts the image's own command."""
    found = re.search(r"^CMD \[(.*)\]$", (IMAGE / "Dockerfile").read_text(), re.MULTILINE)
    assert found is not None
    own = shlex.split(found[1].replace(",", " "))
    assert own[0] == "doctune"
    kept = {
        name: os.environ[name] for name in ("PATH", "HOME", "DOCTUNE_CACHE") if name in os.environ
    }
    return subprocess.Popen(
        command(*own[1:]),
        cwd=folder,
        env={**kept, "PYTHONPATH": str(ROOT), "DOCTUNE_CONFIG": str(folder), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def test_it_listens_where_cloud_run_says_answers_and_ends_at_sigterm(
    faulty: FakeUpstream, tmp_path: Path
) -> None:
    (tmp_path / "gateway.yaml").write_text(f"models: {{m: {{upstreams: ['{faulty.address}']}}}}\n")
    database = f"sqlite:///{tmp_path}/gateway.db"
    engine = open_database(database)
    prepare(engine)
    key = create_key(engine, "ana")
    engine.dispose()
    port = free_port()
    process = start(tmp_path, DATABASE_URL=database, PORT=str(port))
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                assert httpx.get(f"{url}/readyz", timeout=10).status_code == 200
                break
            except httpx.TransportError:
                assert process.poll() is None, process.communicate(timeout=10)[0].decode()
                assert time.monotonic() < deadline, f"waited {START_SECONDS} s for {url}"
                time.sleep(0.1)
        asked = {"model": "m", "messages": MESSAGES}
        headers = {"authorization": f"Bearer {key}"}
        answer = httpx.post(f"{url}/v1/chat/completions", json=asked, headers=headers, timeout=20)
        assert answer.status_code == 200, answer.text
        assert httpx.get(f"{url}/static/chat.js", timeout=20).status_code == 200
    finally:
        process.terminate()
        output = process.communicate(timeout=40)[0].decode()
    assert process.returncode == 0, output


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "DOCTUNE_VERTEX_ENDPOINT__NAME"),
        ({"DOCTUNE_VERTEX_ENDPOINT__NAME": "handbook"}, "doctune gateway keys create"),
        ({"DATABASE_INSTANCE": "p:r:i", "DOCTUNE_VERTEX_ENDPOINT__NAME": "e"}, "DATABASE_USER"),
    ],
)
def test_what_is_missing_is_said_in_one_line(
    tmp_path: Path, environment: dict[str, str], said: str
) -> None:
    process = start(tmp_path, **environment)
    output = process.communicate(timeout=60)[0].decode().strip()
    assert process.returncode == 2 or process.returncode == 1, output
    assert said in output
    assert len(output.splitlines()) <= 2
