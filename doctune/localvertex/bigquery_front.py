"""BigQuery by an emulator that the configuration names, such as bqemulator: over REST.

The emulator is a program in an environment of its own. It is started by the first request and
stopped with the server. Without one, every request is refused with what to configure.
"""

import asyncio
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import aiohttp
from aiohttp import web

from doctune import limits
from doctune.localvertex.api.errors import ApiError, Status, precondition
from doctune.localvertex.forwarding import body_of, pass_on
from doctune.localvertex.ports import LOOPBACK, free_port
from doctune.localvertex.programs import last_lines
from doctune.processes import start_process, stop_process

HOST = "bigquery.googleapis.com"
MISSING = (
    f"localvertex does not stand for {HOST}: name an emulator in local.bigquery of "
    "vertex_config.yaml to have one (docs/local.md)."
)
_POLL_SECONDS = 0.1
_LINES = 5


class BigQueryFront:
    """Starts the emulator when it is first needed, and passes requests on to it."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        buckets: Path,
        environment: Mapping[str, str],
        client: aiohttp.ClientSession,
    ) -> None:
        """
        Args:
            command: The emulator's command line: {port} is where it has to answer, {folder} is for
                what it keeps, {buckets} has a folder for each bucket.
            folder: For its state and its log.
            client: A session that does not decompress what it passes on.
        """
        self._command, self._folder, self._buckets = command, folder, buckets
        self._environment, self._client = environment, client
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0
        self._starting = asyncio.Lock()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answers one request; errors of localvertex's own have Google's shape."""
        try:
            if not self._command:
                raise ApiError(Status.UNIMPLEMENTED, MISSING)
            await self._ensure_started()
            url = f"http://{LOOPBACK}:{self._port}{request.raw_path}"
            return await pass_on(self._client, request, url, body_of(request))
        except ApiError as error:
            return web.json_response(error.rest_body(), status=error.status.http_code)
        except (aiohttp.ClientConnectionError, TimeoutError) as error:
            lost = ApiError(Status.UNAVAILABLE, f"The BigQuery emulator does not answer: {error}")
            return web.json_response(lost.rest_body(), status=lost.status.http_code)

    async def stop(self) -> None:
        """Stops the emulator, if it runs; what it keeps in its folder stays."""
        if self._process is not None:
            await asyncio.to_thread(stop_process, self._process.pid)
            self._process.poll()
            self._process = None

    @property
    def _log(self) -> Path:
        return self._folder / "emulator.log"

    async def _ensure_started(self) -> None:
        async with self._starting:
            if self._process is not None and self._process.poll() is None:
                return
            self._folder.mkdir(parents=True, exist_ok=True)
            self._port = free_port()
            values = {"port": self._port, "folder": self._folder, "buckets": self._buckets}
            try:
                with self._log.open("ab") as log:
                    self._process = start_process(
                        [_filled(part, values) for part in self._command],
                        environment=self._environment,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                    )
            except OSError as error:
                raise precondition(f"The BigQuery emulator does not start: {error}") from error
            await self._wait(self._process)

    async def _wait(self, process: subprocess.Popen[bytes]) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + limits.SERVER_START.seconds
        while loop.time() < deadline and process.poll() is None:
            try:
                _, writer = await asyncio.wait_for(
                    asyncio.open_connection(LOOPBACK, self._port), limits.CONNECTION.seconds
                )
            except OSError:
                await asyncio.sleep(_POLL_SECONDS)
            else:
                writer.close()
                return
        how = "ended" if process.poll() is not None else "did not answer in time"
        await self.stop()
        # Clients repeat what is unavailable for ten minutes; this does not mend itself.
        raise precondition(
            f"The BigQuery emulator {how}; see {self._log}: {last_lines(self._log, _LINES)}"
        )


def _filled(part: str, values: Mapping[str, object]) -> str:
    """Returns a part of the command line with its placeholders filled in."""
    for name, value in values.items():
        part = part.replace(f"{{{name}}}", str(value))
    return part
