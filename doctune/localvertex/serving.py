"""Serving processes: one per deployed model, restarted when they fail.

A process that dies, or fails four health checks in a row, makes the deployed model unavailable at
once, with the reason; it is restarted with exponential backoff of up to a minute.
"""

import asyncio
import contextlib
import logging
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from doctune import limits
from doctune.localvertex.api.errors import ApiError, Status, precondition
from doctune.localvertex.ports import LOOPBACK, free_port
from doctune.localvertex.programs import last_lines
from doctune.processes import start_process, stop_process

_HEALTH_CHECK_SECONDS = 10.0
_FAILED_CHECKS = 4
_MAX_BACKOFF_SECONDS = 60.0

logger = logging.getLogger("doctune.localvertex")


@dataclass(frozen=True)
class ServingSpec:
    """The serving program of a deployed model."""

    deployed_model_id: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    health_route: str
    predict_route: str
    log_path: Path
    start_seconds: float
    restart_seconds: float
    is_invoked: bool = False  # by any of its routes, instead of the predict route


class ServingProcess:
    """The process of a deployed model, and the task that supervises it."""

    def __init__(self, spec: ServingSpec, client: aiohttp.ClientSession) -> None:
        self.spec = spec
        self._client = client
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0
        self._ready = asyncio.Event()
        self._reason = "it is starting"
        self._watcher: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The pid of the current process."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Starts the program and waits until it is healthy.

        Raises:
            ApiError: FAILED_PRECONDITION: it died or was not healthy in time, with its last lines.
        """
        try:
            await self._launch()
        except BaseException:
            await self.stop()
            raise
        self.watch()

    def watch(self) -> None:
        """Supervises the program from now on; starts it if it does not run yet."""
        self._watcher = asyncio.get_running_loop().create_task(self._keep_alive())

    async def stop(self) -> None:
        """Stops the program for good."""
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
        await self._end_process()
        self._reason = "it was undeployed"

    def url(self, route: str | None = None) -> str:
        """Returns the URL of the program.

        Raises:
            ApiError: UNAVAILABLE, with the reason, while it does not.
        """
        if self._ready.is_set() and self._process is not None and self._process.poll() is not None:
            self._lost(self._death())
        if not self._ready.is_set():
            raise self.unavailable()
        return f"http://{LOOPBACK}:{self._port}{route or self.spec.predict_route}"

    def unavailable(self) -> ApiError:
        """Returns the error for callers while the program is unavailable."""
        return ApiError(
            Status.UNAVAILABLE,
            f"The deployed model {self.spec.deployed_model_id} is unavailable: {self._reason}.",
        )

    async def _keep_alive(self) -> None:
        backoff = self.spec.restart_seconds
        while True:
            if self._ready.is_set():
                await self._watch_until_lost()
                logger.warning("%s", self.unavailable().message)
                await self._end_process()
                await asyncio.sleep(backoff)
            try:
                await self._launch()
                backoff = self.spec.restart_seconds
            except ApiError as error:
                self._reason = f"{error.message} It is started again in {backoff:g} s"
                await self._end_process()
                await asyncio.sleep(backoff)
                backoff = min(2 * backoff, _MAX_BACKOFF_SECONDS)

    async def _launch(self) -> None:
        port = free_port()
        self.spec.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.spec.log_path.open("ab") as log:
            try:
                self._process = start_process(
                    self.spec.command,
                    environment={**self.spec.environment, "AIP_HTTP_PORT": str(port)},
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            except (OSError, subprocess.SubprocessError) as error:
                raise precondition(f"The serving program cannot be started: {error}.") from error
        self._port = port
        await self._wait_until_healthy()
        self._ready.set()

    async def _wait_until_healthy(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.spec.start_seconds
        pause = 0.02
        while not await self._healthy():
            if self._process is not None and self._process.poll() is not None:
                raise precondition(f"Model server never became ready: {self._death()}.")
            if loop.time() > deadline:
                raise precondition(
                    "Model server never became ready: its health route "
                    f"{self.spec.health_route} did not answer 200 within "
                    f"{self.spec.start_seconds:g} s. Last log lines:\n"
                    f"{last_lines(self.spec.log_path)}"
                )
            await asyncio.sleep(pause)
            pause = min(0.5, pause * 1.5)

    async def _watch_until_lost(self) -> None:
        loop = asyncio.get_running_loop()
        failed, next_check = 0, loop.time() + _HEALTH_CHECK_SECONDS
        while self._ready.is_set():
            await asyncio.sleep(0.1)
            if self._process is None or self._process.poll() is not None:
                self._lost(self._death())
            elif loop.time() >= next_check:
                failed = 0 if await self._healthy() else failed + 1
                next_check = loop.time() + _HEALTH_CHECK_SECONDS
                if failed >= _FAILED_CHECKS:
                    self._lost(f"{failed} health checks in a row failed")

    async def _healthy(self) -> bool:
        url = f"http://{LOOPBACK}:{self._port}{self.spec.health_route}"
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
            timeout = aiohttp.ClientTimeout(total=limits.HEALTH_CHECK.seconds)
            async with self._client.get(url, timeout=timeout) as response:
                return response.status == 200
        return False

    def _lost(self, reason: str) -> None:
        self._ready.clear()
        self._reason = f"{reason}. It is started again in a few seconds"

    def _death(self) -> str:
        code = self._process.poll() if self._process is not None else None
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        return (
            f"the serving program ended with {how}; last log lines:\n"
            f"{last_lines(self.spec.log_path)}"
        )

    async def _end_process(self) -> None:
        self._ready.clear()
        process, self._process = self._process, None
        if process is not None:
            await asyncio.to_thread(stop_process, process.pid)
            process.poll()


class ServingPool:
    """The serving processes of all endpoints, by deployed model."""

    def __init__(self) -> None:
        self._processes: dict[tuple[str, str], ServingProcess] = {}

    def add(self, endpoint: str, process: ServingProcess) -> None:
        """Adds a process."""
        self._processes[endpoint, process.spec.deployed_model_id] = process

    def find(self, endpoint: str, deployed_model_id: str) -> ServingProcess | None:
        """Returns the process of a deployed model."""
        return self._processes.get((endpoint, deployed_model_id))

    async def remove(self, endpoint: str, deployed_model_id: str) -> None:
        """Stops the process of a deployed model."""
        process = self._processes.pop((endpoint, deployed_model_id), None)
        if process is not None:
            await process.stop()

    async def stop(self) -> None:
        """Ends all of them."""
        await asyncio.gather(*(process.stop() for process in self._processes.values()))
        self._processes.clear()
