"""Starts what `benchmarks/gateway.py` measures: doctune's gateway and LiteLLM's proxy."""

import contextlib
import os
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from benchmarks.environments import python_with

LITELLM = "litellm[proxy]==1.108.7"
MODEL = "handbook"

_ROOT = Path(__file__).parents[1]
_START_SECONDS = 180.0


@dataclass
class Peer:
    """A started process that answers chat completions."""

    name: str
    url: str
    key: str
    process: psutil.Process
    limited_keys: Mapping[str, str]

    def cpu_seconds(self) -> float:
        """Returns what the process and its children have used so far."""
        used = 0.0
        for process in (self.process, *self.process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                used += times.user + times.system
        return used

    def mebibytes(self) -> float:
        """Returns the memory that the process and its children hold."""
        held = 0
        for process in (self.process, *self.process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                held += process.memory_info().rss
        return held / 2**20


@contextlib.contextmanager
def started(
    command: Sequence[str],
    folder: Path,
    health: str,
    *,
    core: int | None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[psutil.Process]:
    """Runs a program, pinned to a core where the system can, until the block ends."""
    log = folder / f"{Path(command[1]).stem.strip('-')}-{time.monotonic_ns()}.log"
    pinned = contextlib.nullcontext() if core is None else _pinned(core)
    with log.open("wb") as output, pinned:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(_ROOT), **(environment or {})},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_until_healthy(process, health, log)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


@contextlib.contextmanager
def _pinned(core: int) -> Iterator[None]:
    """Pins this process, and so what it starts within the block, to one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _wait_until_healthy(process: subprocess.Popen[bytes], health: str, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            urllib.request.urlopen(health, timeout=5).close()  # noqa: S310 - http only
            return
        time.sleep(0.1)
    sys.exit(f"{health} does not answer: {log.read_text(errors='replace')[-3000:]}")


@contextlib.contextmanager
def doctune_gateway(
    folder: Path,
    upstream: str,
    port: int,
    core: int | None,
    *,
    limits: Mapping[str, Mapping[str, int]] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Peer]:
    """Runs the gateway as its command does, on SQLite, with keys, limits, log and validation on.

    Args:
        upstream: As `gateway.yaml` names it.
        limits: Of further keys, by their names.
    """
    from doctune.database.engine import open_database
    from doctune.database.schema import prepare
    from doctune.gateway.keys import create_key
    from doctune.gateway.options import LimitOptions

    config = folder / "config"
    config.mkdir()
    for name in ("config.yaml", "vertex_config.yaml", "prices.yaml"):
        (config / name).write_bytes((_ROOT / "config" / name).read_bytes())
    model = {"upstreams": [upstream], "max_in_flight": 256, "max_waiting": 256}
    options: dict[str, Any] = {"models": {MODEL: model}}
    (config / "gateway.yaml").write_text(yaml.safe_dump(options), encoding="utf-8")
    database = f"sqlite:///{folder}/gateway.db"
    engine = open_database(database)
    prepare(engine)
    # Limits are counted, and never met but by those keys that are to meet them.
    wide = LimitOptions(requests_per_minute=10**6, tokens_per_minute=10**9, tokens_per_day=10**9)
    key = create_key(engine, "load", limits=wide)
    limited = {
        name: create_key(engine, name, limits=LimitOptions(**values))
        for name, values in (limits or {}).items()
    }
    engine.dispose()
    command = [sys.executable, "-m", "doctune", "gateway", "up", "--port", str(port)]
    surroundings = {
        "DOCTUNE_CONFIG": str(config),
        "DATABASE_URL": database,
        **(environment or {}),
    }
    url = f"http://127.0.0.1:{port}"
    with started(command, folder, f"{url}/healthz", core=core, environment=surroundings) as process:
        yield Peer("doctune", f"{url}/v1", key, process, limited)


# What a team would configure for keys with limits where there is no Postgres: the proxy's own hooks
# then check the limits of what this returns, and a callback writes each request.
_LITELLM_HOOKS = """
import asyncio, hashlib, hmac, json
from litellm.integrations.custom_logger import CustomLogger
from litellm.proxy._types import ProxyException, UserAPIKeyAuth

DIGEST = hashlib.sha256(b"sk-load").hexdigest()


async def authenticate(request, api_key):
    digest = hashlib.sha256(api_key.encode()).hexdigest()
    if not hmac.compare_digest(digest, DIGEST):
        raise ProxyException(message="no such key", type="auth_error", param="key", code=401)
    return UserAPIKeyAuth(
        api_key=digest, key_alias="load", rpm_limit=10**6, tpm_limit=10**9,
        max_parallel_requests=10**4,
    )


class Log(CustomLogger):
    def __init__(self):
        super().__init__()
        self._file = open("predictions.jsonl", "a", encoding="utf-8")

    async def async_log_success_event(self, kwargs, response, start, end):
        self._file.write(json.dumps({
            "id": response.id, "model": kwargs.get("model"), "messages": kwargs.get("messages"),
            "answer": response.choices[0].message.content, "start": str(start), "end": str(end),
            "usage": response.usage.model_dump() if response.usage else None,
        }, default=str) + "\\n")


log = Log()
"""


@contextlib.contextmanager
def litellm_proxy(folder: Path, upstream: str, port: int, core: int | None) -> Iterator[Peer]:
    """Runs LiteLLM's proxy with one worker, in an environment of its own."""
    config = {
        "model_list": [
            {
                "model_name": MODEL,
                "litellm_params": {"model": "openai/mock", "api_base": upstream, "api_key": "none"},
            }
        ],
        "litellm_settings": {"callbacks": ["hooks.log"], "num_retries": 0, "telemetry": False},
        "general_settings": {"custom_auth": "hooks.authenticate"},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    (folder / "hooks.py").write_text(_LITELLM_HOOKS, encoding="utf-8")
    program = litellm_python().parent / "litellm"
    command = [str(program), "--config", "config.yaml", "--host", "127.0.0.1", "--port", str(port)]
    environment = {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOG": "ERROR",
        "LITELLM_MASTER_KEY": f"sk-{secrets.token_hex(32)}",
    }
    url = f"http://127.0.0.1:{port}"
    health = f"{url}/health/liveliness"
    with started(command, folder, health, core=core, environment=environment) as process:
        yield Peer("litellm", f"{url}/v1", "sk-load", process, {})


def litellm_python() -> Path:
    """Returns the interpreter of an environment with LiteLLM, which the first run makes."""
    return python_with([LITELLM], beside_doctune=False)
