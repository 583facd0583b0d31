"""Only the user who started it is answered; nothing that it keeps is anybody else's to read."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from doctune.localvertex.peers import is_own
from tests.localvertex.conftest import PARENT
from tests.localvertex.wire import ask

NOBODY = 65534
# Any Python that another user may run; the one of these tests may lie in a folder that is closed.
PYTHON = next((p for p in ("/usr/bin/python3", "/usr/local/bin/python3") if Path(p).exists()), "")
_ASK = """
import socket, sys
connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=20)
connection.sendall(sys.argv[2].encode().decode("unicode_escape").encode())
print(connection.recv(200).decode(errors="replace").split("\\r\\n")[0])
"""
_END = "HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n"


def as_nobody(port, request):
    done = subprocess.run(
        [PYTHON, "-I", "-c", _ASK, str(port), request],
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        cwd="/",
        env={},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout.strip() or done.stderr


@pytest.mark.skipif(os.geteuid() != 0 or not PYTHON, reason="only root can be somebody else")
@pytest.mark.parametrize(
    ("port", "request_line"),
    [
        ("http", f"GET /v1/{PARENT}/models HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\n\\r\\n"),
        ("http", "GET /localvertex/health HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\n\\r\\n"),
        ("storage", "GET /storage/v1/b HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\n\\r\\n"),
        ("proxy", "CONNECT us-central1-aiplatform.googleapis.com:443 HTTP/1.1\\r\\n\\r\\n"),
    ],
)
def test_another_users_program_is_refused_on_every_port(local, port, request_line):
    assert "403" in as_nobody(local.status.ports[port], request_line)


def test_an_own_program_is_answered(local):
    assert ask(local, f"/v1/{PARENT}/models")[0] == 200


def test_a_socket_that_is_not_there_is_nobodys():
    assert not is_own(1, 2)


def test_what_is_kept_is_readable_by_its_owner_only(local):
    state = local.status.state_dir
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    for path in (state / "state.db", state / "server.json", state / "ports.json"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


@pytest.mark.parametrize("name", ["..%2F..%2Fstate.db", "a%2F..%2F..%2F..%2Fstate.db", ".."])
def test_no_object_is_outside_of_its_bucket(local, name):
    port = local.status.ports["storage"]
    for path in (f"/storage/v1/b/demo-bucket/o/{name}?alt=media", f"/storage/v1/b/..%2F/o/{name}"):
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                _ASK,
                str(port),
                f"GET {path} HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n",
            ],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.stdout.startswith("HTTP/1.1 400"), done.stdout


@pytest.mark.parametrize("size", [10, 9 << 20])
def test_no_upload_leaves_its_bucket(local, environment, size):
    from google.api_core.exceptions import BadRequest
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    client = storage.Client(project="demo-project", credentials=AnonymousCredentials())
    with pytest.raises(BadRequest, match="are refused here"):
        client.bucket("demo-bucket").blob("../../escaped").upload_from_string(b"x" * size)
    assert not (local.status.state_dir / "escaped").exists()
