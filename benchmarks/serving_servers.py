"""The servers that benchmarks/serving.py measures: one process each, on some cores."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from doctune.localvertex.ports import free_port
from doctune.processes import start_process, stop_process

_START_SECONDS = 300.0


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server that answers, and its process."""

    name: str
    address: str
    process: psutil.Process

    def memory(self) -> float:
        """Returns its resident memory in MiB, children included."""
        family = [self.process, *self.process.children(recursive=True)]
        return sum(one.memory_info().rss for one in family) / 2**20

    def cpu(self) -> float:
        """Returns its CPU seconds so far, children included."""
        family = [self.process, *self.process.children(recursive=True)]
        return sum(sum(one.cpu_times()[:2]) for one in family)


@contextlib.contextmanager
def started(
    name: str, command: list[str], address: str, cores: int, ready: str
) -> Iterator[Server]:
    """Starts a server on some cores and waits until it is ready."""
    chosen = sorted(os.sched_getaffinity(0))[:cores]
    environment = {**os.environ, "OMP_NUM_THREADS": str(cores), "HF_HUB_OFFLINE": "1"}
    with tempfile.TemporaryFile() as log:
        process = start_process(
            command, environment=environment, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            os.sched_setaffinity(process.pid, chosen)
            _wait(process, ready, log)
            yield Server(name=name, address=address, process=psutil.Process(process.pid))
        finally:
            stop_process(process.pid)
            process.wait(60)


def _wait(process: "subprocess.Popen[Any]", ready: str, log: Any) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        with (
            contextlib.suppress(urllib.error.URLError, OSError),
            urllib.request.urlopen(ready, timeout=5) as answer,  # noqa: S310 - loopback
        ):
            if answer.status == 200:
                return
        if process.poll() is not None:
            break
        time.sleep(0.3)
    log.seek(0)
    raise SystemExit(f"the server did not start: {log.read()[-2000:].decode(errors='replace')}")


def doctune_server(
    model: Path, cores: int, engine: str = "native"
) -> contextlib.AbstractContextManager[Server]:
    """Starts our server with one of its engines."""
    port = free_port()
    command = [sys.executable, "-m", "doctune.serving", "--model-uri", str(model)]
    command += ["--port", str(port), "--engine", engine]
    url = f"http://127.0.0.1:{port}"
    name = "doctune" if engine == "native" else engine
    return started(name, command, f"{url}/v1#tuned", cores, f"{url}/health")


def transformers_server(model: Path, cores: int) -> contextlib.AbstractContextManager[Server]:
    """Starts `transformers serve` with the same weights."""
    port = free_port()
    program = str(Path(sys.executable).with_name("transformers"))
    command = [program, "serve", str(model), "--port", str(port), "--host", "127.0.0.1"]
    command += ["--dtype", "float32", "--device", "cpu", "--continuous-batching"]
    # Left to itself it set aside 13 GiB for its cache.
    command += ["--cb-block-size", "32", "--cb-num-blocks", "512"]
    url = f"http://127.0.0.1:{port}"
    return started("transformers", command, f"{url}/v1#{model}", cores, f"{url}/health")
