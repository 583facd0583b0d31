"""Starts, finds and stops a localvertex server.

    with LocalVertex.attach_or_start(config) as local:
        subprocess.run(command, env={**os.environ, **local.environment})

One server at a time owns a state folder. A client that attaches to a running server does not stop
it.
"""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from doctune import limits
from doctune.errors import LocalVertexError
from doctune.files import write_text
from doctune.localvertex.config import LocalVertexConfig
from doctune.localvertex.ports import LOOPBACK
from doctune.processes import start_process, stop_process

_SERVER_MODULE = "doctune.localvertex"


@dataclass(frozen=True)
class LocalVertexStatus:
    """A running localvertex server."""

    pid: int
    endpoint: str
    ports: dict[str, int]
    environment: dict[str, str]
    state_dir: Path
    log_path: Path


class LocalVertex:
    """A handle on a server; on exit it stops the server if it started it."""

    def __init__(
        self, status: LocalVertexStatus, process: "subprocess.Popen[bytes] | None" = None
    ) -> None:
        self.status = status
        self._process = process

    @classmethod
    def attach_or_start(cls, config: LocalVertexConfig) -> "LocalVertex":
        """Returns a handle on the server of a state folder, starting one if none runs.

        A server started here also ends when the calling thread does, however that happens.

        Raises:
            LocalVertexError: One runs with another configuration, or it does not start.
        """
        with _start_lock(config):
            record = _live_record(config.state_dir)
            if record is not None:
                _check_same_config(record, config)
                return cls(_status(record, config.state_dir))
            return _start(config, die_with_parent=True)

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that redirect Google's clients to this server."""
        return dict(self.status.environment)

    @property
    def endpoint(self) -> str:
        """The address of REST without TLS, for `api_endpoint` and curl."""
        return self.status.endpoint

    def stop(self) -> None:
        """Stops the server and its processes, if this handle started it."""
        process, self._process = self._process, None
        if process is not None:
            _stop(process.pid)
            limits.wait_for_end(process, limits.PROCESS_END, "the local Vertex AI")

    def __enter__(self) -> "LocalVertex":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def up(config: LocalVertexConfig) -> LocalVertexStatus:
    """Starts a server that outlives this process, or finds the running one.

    Raises:
        LocalVertexError: As `LocalVertex.attach_or_start`.
    """
    with _start_lock(config):
        record = _live_record(config.state_dir)
        if record is not None:
            _check_same_config(record, config)
            return _status(record, config.state_dir)
        return _start(config, die_with_parent=False).status


def status(config: LocalVertexConfig) -> LocalVertexStatus | None:
    """Returns the running server of a state folder, if any."""
    record = _live_record(config.state_dir)
    return None if record is None else _status(record, config.state_dir)


def down(config: LocalVertexConfig) -> bool:
    """Stops the server of a state folder and its processes; returns False if none ran."""
    with _start_lock(config):
        record = _live_record(config.state_dir)
        if record is None:
            return False
        _stop(record["pid"])
        return True


def execute(config: LocalVertexConfig, command: Sequence[str]) -> int:
    """Runs a program whose Google clients are redirected to localvertex; returns its exit code.

    Raises:
        LocalVertexError: The server does not start, or there is no such program.
    """
    with LocalVertex.attach_or_start(config) as local:
        try:
            process = subprocess.Popen(list(command), env={**os.environ, **local.environment})
        except OSError as error:
            raise LocalVertexError(f"{command[0]} cannot be run: {error.strerror}.") from error
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue  # the program got the same signal, and decides how it ends


@contextmanager
def _start_lock(config: LocalVertexConfig) -> Iterator[None]:
    """Locks a state folder, so that one process at a time starts or stops its server."""
    config.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with limits.locked(config.state_dir / "start.lock", "another start or end of this server"):
        yield


def _live_record(state_dir: Path) -> dict[str, Any] | None:
    """Returns a server's own record, if that server is alive."""
    try:
        record = json.loads((state_dir / "server.json").read_text(encoding="utf-8"))
        started = psutil.Process(record["pid"]).create_time()
    except (OSError, ValueError, KeyError, psutil.Error):
        return None
    # The pid may have been reused by another process.
    return record if abs(started - record["started"]) < 1.0 and _answers(record) else None


def _answers(record: dict[str, Any]) -> bool:
    url = f"{_endpoint(record)}/localvertex/health"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=limits.HEALTH_CHECK.seconds) as response:
            return json.load(response)["pid"] == record["pid"]
    except (OSError, ValueError, KeyError):
        return False


def _endpoint(record: dict[str, Any]) -> str:
    return f"http://{LOOPBACK}:{record['ports']['http']}"


def _status(record: dict[str, Any], state_dir: Path) -> LocalVertexStatus:
    return LocalVertexStatus(
        pid=record["pid"],
        endpoint=_endpoint(record),
        ports=record["ports"],
        environment=record["environment"],
        state_dir=state_dir,
        log_path=state_dir / "logs" / "server.log",
    )


def _check_same_config(record: dict[str, Any], config: LocalVertexConfig) -> None:
    wanted = config.model_dump(mode="json")
    different = sorted(key for key in wanted if wanted[key] != record["config"].get(key))
    if different:
        raise LocalVertexError(
            f"a localvertex with another configuration runs over {config.state_dir} (different: "
            f"{', '.join(different)}): end it with `doctune local down` first."
        )


def _start(config: LocalVertexConfig, *, die_with_parent: bool) -> LocalVertex:
    log_path = config.state_dir / "logs" / "server.log"
    log_path.parent.mkdir(parents=True, exist_ok=True)
    config_path = config.state_dir / "config.json"
    write_text(config_path, config.model_dump_json(indent=2) + "\n")
    with log_path.open("ab") as log:
        process = start_process(
            [sys.executable, "-m", _SERVER_MODULE, "--config", config_path],
            stdout=log,
            stderr=subprocess.STDOUT,
            die_with_parent=die_with_parent,
        )
    deadline = time.monotonic() + limits.SERVER_START.seconds
    try:
        while time.monotonic() < deadline:
            record = _live_record(config.state_dir)
            if record is not None and record["pid"] == process.pid:
                return LocalVertex(_status(record, config.state_dir), process)
            if process.poll() is not None:
                break
            time.sleep(0.05)
    except BaseException:
        stop_process(process.pid)
        raise
    stop_process(process.pid)
    lines = log_path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    raise LocalVertexError(
        f"localvertex did not start: {lines[-1] if lines else 'it said nothing'} (see {log_path})."
    )


def _stop(pid: int) -> None:
    """Terminates a server, and kills it and its children if it does not end."""
    try:
        process = psutil.Process(pid)
        process.terminate()
        process.wait(limits.PROCESS_END.seconds)
    except psutil.TimeoutExpired:
        stop_process(pid)
    except psutil.NoSuchProcess:
        return
