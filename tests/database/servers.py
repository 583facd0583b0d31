"""A real Postgres and a real Redis, started by the tests that need them and stopped after them."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from doctune.localvertex.ports import free_port

_START_SECONDS = 60


def program(name: str) -> str:
    """Returns the path of a program, or skips the test: it comes with a Debian package."""
    newest = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    found = shutil.which(name) or (str(newest[0]) if newest else None)
    if found is None:
        pytest.skip(f"{name} is not installed: make browser installs it where it may")
    return found


@contextlib.contextmanager
def run_server(
    command: list[str], answers: Callable[[], bool], user: str | None = None
) -> Iterator[subprocess.Popen]:
    """Runs a server until the block ends; it answers when the block begins."""
    process = subprocess.Popen(command, user=user, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not answers():
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                pytest.fail(
                    f"{command[0]} does not answer: {process.communicate(timeout=20)[0].decode()}"
                )
            time.sleep(0.05)
        yield process
    finally:
        # Postgres ends at once at an interrupt, and waits for its clients at a termination.
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate(timeout=20)


@contextlib.contextmanager
def postgres(folder: Path, port: int | None = None) -> Iterator[str]:
    """Runs Postgres on a folder, which is made if it is missing; gives the URL of a database."""
    from sqlalchemy import create_engine

    port = port or free_port()
    # Postgres refuses to run as root.
    user = "postgres" if os.getuid() == 0 else None
    data = folder / "data"
    if not data.exists():
        folder.mkdir(parents=True, exist_ok=True)
        if user:
            account = pwd.getpwnam(user)
            os.chown(folder, account.pw_uid, account.pw_gid)
            for parent in folder.parents:
                if parent.owner() == "root" and parent != Path("/") and "pytest" in str(parent):
                    parent.chmod(0o755)
        subprocess.run(
            [program("initdb"), "-D", str(data), "-U", "doctune", "-A", "trust", "-N"],
            user=user,
            check=True,
            capture_output=True,
            timeout=_START_SECONDS,
            cwd=folder,
        )
    url = f"postgresql://doctune@127.0.0.1:{port}/postgres"
    probe = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))

    def answers() -> bool:
        with contextlib.suppress(Exception), probe.connect():
            return True
        return False

    options = ["-h", "127.0.0.1", "-p", str(port), "-k", "", "-F"]
    with run_server([program("postgres"), "-D", str(data), *options], answers, user):
        # Postgres waits for its clients before it ends, and this one would never leave.
        probe.dispose()
        yield url


@contextlib.contextmanager
def redis(port: int | None = None) -> Iterator[str]:
    """Runs Redis; gives its URL."""
    port = port or free_port()

    def answers() -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False

    command = [program("redis-server"), "--port", str(port), "--save", "", "--bind", "127.0.0.1"]
    with run_server(command, answers):
        yield f"redis://127.0.0.1:{port}/0"
