"""The server: all listeners, the storage emulator and the handlers in one process.

Everything runs on one event loop, and so do all reads and writes of the state; programs run in
processes of their own.
"""

import asyncio
import fcntl
import json
import logging
import os
import re
import signal
import ssl
import subprocess
import sys
import uuid
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import aiohttp
import psutil
from aiohttp import web

from doctune import limits
from doctune.errors import LocalVertexError
from doctune.files import write_json
from doctune.localvertex import iam_front, logging_front, registry_front, watchdog
from doctune.localvertex.api.errors import ApiError, Status
from doctune.localvertex.api.table import load_table
from doctune.localvertex.bigquery_front import HOST as BIGQUERY_HOST
from doctune.localvertex.bigquery_front import BigQueryFront
from doctune.localvertex.browsers import refuse_browsers
from doctune.localvertex.certificates import Certificates, ensure_certificates
from doctune.localvertex.config import LocalVertexConfig
from doctune.localvertex.environment import client_environment
from doctune.localvertex.grpc_server import start_grpc_server
from doctune.localvertex.metadata_server import metadata_routes, new_token
from doctune.localvertex.peers import refuse_others
from doctune.localvertex.ports import LOOPBACK, free_port
from doctune.localvertex.proxy import ConnectProxy
from doctune.localvertex.rest import MAX_BODY_BYTES, RestApi
from doctune.localvertex.services import JOB_KINDS, predictions, schedules
from doctune.localvertex.storage import StorageServer
from doctune.localvertex.storage_front import StorageFront
from doctune.localvertex.tolerance import tolerant
from doctune.localvertex.vertex import Vertex

PORTS = ("http", "rest", "grpc", "proxy", "storage", "gcs")
HEALTH_ROUTE = "/localvertex/health"
_GRPC_STOP_SECONDS = 0.2
_UMASK = 0o077
_REFUSING = (refuse_others, refuse_browsers)
_STORAGE_HOST = "storage.googleapis.com"
# By which older clients, TensorFlow's among them, reach Cloud Storage.
_ALL_APIS = "www.googleapis.com"
_STORAGE_PATH = re.compile(r"/((upload|resumable/upload|download|batch)/)?storage/v1(/|$)")
_SERVED_HOSTS = ("aiplatform.googleapis.com", iam_front.HOST, "secretmanager.googleapis.com")

logger = logging.getLogger("doctune.localvertex")


@dataclass(frozen=True)
class ServerFiles:
    """The files by which a server is found."""

    state_dir: Path

    @property
    def record(self) -> Path:
        """Who runs and where: written when the server is ready, removed when it ends."""
        return self.state_dir / "server.json"

    @property
    def ports(self) -> Path:
        """The ports of the last run, taken again so that clients find a server that restarts."""
        return self.state_dir / "ports.json"

    @property
    def lock(self) -> Path:
        """Held by the server as long as it lives."""
        return self.state_dir / "server.lock"

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.state_dir / "logs" / "server.log"


async def serve(config: LocalVertexConfig) -> None:
    """Runs the server until SIGTERM or SIGINT.

    Raises:
        LocalVertexError: Another server holds the state folder, or a part does not start.
    """
    files = ServerFiles(config.state_dir)
    os.umask(_UMASK)  # what is kept here, secrets among it, is this user's alone
    config.state_dir.mkdir(parents=True, exist_ok=True)
    config.state_dir.chmod(0o700)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with _hold(files.lock):
        _end_left_over(files.record)
        async with AsyncExitStack() as stack:
            record = await _start(config, files, stack)
            write_json(files.record, record)
            files.record.chmod(0o600)
            stack.callback(files.record.unlink, missing_ok=True)
            logger.info("localvertex answers on %s", record["ports"])
            await stop.wait()


def _hold(path: Path) -> IO[str]:
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise LocalVertexError(
            f"another localvertex runs over {path.parent}: end it with `doctune local down`."
        ) from error
    return file


def _end_left_over(record: Path) -> None:
    """Ends what a server that was killed has left, should its watchdog be gone as well."""
    if record.is_file():
        watchdog.end_owned(json.loads(record.read_text(encoding="utf-8"))["owner"])
        record.unlink()


async def _start(
    config: LocalVertexConfig, files: ServerFiles, stack: AsyncExitStack
) -> dict[str, object]:
    owner = uuid.uuid4().hex
    stack.callback(_start_watchdog(owner).close)
    table = load_table()
    certificates = ensure_certificates()
    ports = _choose_ports(files.ports)
    environment = client_environment(config, ports)
    owned = {**environment, watchdog.OWNER_VARIABLE: owner}
    client = await stack.enter_async_context(
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=limits.LOCAL_PREDICTION.seconds),
        )
    )
    storage = StorageServer(
        config.state_dir / "storage",
        config.state_dir / "logs" / "storage.log",
        ports["gcs"],
        ports["storage"],
    )
    stack.push_async_callback(storage.stop)
    await storage.start(client, {**os.environ, **owned}, config.buckets)
    vertex = Vertex(config, table, owned, client, environment["STORAGE_EMULATOR_HOST"])
    stack.push_async_callback(vertex.close)
    with vertex.store.transaction() as transaction:
        vertex.operations.fail_unfinished(transaction)
        for kind in JOB_KINDS:
            vertex.jobs.fail_unfinished(transaction, kind)
    storage_client = await stack.enter_async_context(
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            auto_decompress=False,
            # An object may be of any size: what is limited is a silence.
            timeout=aiohttp.ClientTimeout(total=None, sock_read=limits.LOCAL_PREDICTION.seconds),
        )
    )
    front = StorageFront(
        storage.url, vertex.storage_folder, vertex.store, vertex.projects, storage_client
    )
    bigquery = BigQueryFront(
        config.bigquery,
        config.state_dir / "bigquery",
        vertex.storage_folder,
        {**os.environ, **owned},
        storage_client,
    )
    stack.push_async_callback(bigquery.stop)
    await _listen(vertex, front, bigquery, ports, certificates, stack)
    predictions.resume(vertex)
    vertex.background(schedules.keep_firing(vertex))
    return {
        "pid": os.getpid(),
        "started": psutil.Process().create_time(),
        "owner": owner,
        "ports": ports,
        "environment": environment,
        "config": config.model_dump(mode="json"),
    }


async def _listen(
    vertex: Vertex,
    front: StorageFront,
    bigquery: BigQueryFront,
    ports: Mapping[str, int],
    certificates: Certificates,
    stack: AsyncExitStack,
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificates.chain, certificates.key)
    tls.set_alpn_protocols(["http/1.1"])
    api = await _set_up(_application(vertex, front, bigquery), stack)
    await web.TCPSite(api, LOOPBACK, ports["http"]).start()
    if api.server is None:
        raise AssertionError("a runner that has been set up has a server")
    rest = await asyncio.get_running_loop().create_server(
        tolerant(api.server), LOOPBACK, ports["rest"], ssl=tls
    )
    stack.callback(rest.close)
    objects = web.Application(
        client_max_size=MAX_BODY_BYTES, middlewares=[refuse_others, refuse_browsers]
    )
    objects.router.add_route("*", "/{path:.*}", front.answer)
    await web.TCPSite(await _set_up(objects, stack), LOOPBACK, ports["storage"]).start()
    grpc_server = await start_grpc_server(vertex, ports["grpc"], certificates)
    stack.push_async_callback(grpc_server.stop, _GRPC_STOP_SECONDS)
    proxy = ConnectProxy(
        ports["rest"],
        ports["grpc"],
        vertex.config.allowed_hosts,
        upstream=os.environ.get("https_proxy") or os.environ.get("HTTPS_PROXY") or "",
        http_port=ports["http"],
    )
    await proxy.start(ports["proxy"])
    stack.push_async_callback(proxy.stop)


async def _set_up(application: web.Application, stack: AsyncExitStack) -> web.AppRunner:
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    return runner


def _application(vertex: Vertex, front: StorageFront, bigquery: BigQueryFront) -> web.Application:
    api = RestApi(vertex)

    async def health(_: web.Request) -> web.Response:
        return web.json_response({"pid": os.getpid()})

    async def token(_: web.Request) -> web.Response:
        return web.json_response(new_token())

    async def answer(request: web.Request) -> web.StreamResponse:
        # Through the proxy all of Google's names arrive here.
        host = request.host.partition(":")[0]
        if host == _STORAGE_HOST or (host == _ALL_APIS and _STORAGE_PATH.match(request.path)):
            return await front.answer(request)
        if bucket := host.removesuffix(f".{_STORAGE_HOST}").removesuffix(host):
            return await front.answer(request.clone(rel_url=f"/{bucket}{request.raw_path}"))
        if iam_front.answers(request):
            return await iam_front.answer(request)
        if host == BIGQUERY_HOST:
            return await bigquery.answer(request)
        if host == logging_front.HOST:
            return await logging_front.answer(vertex, request)
        if host == registry_front.HOST or registry_front.TEMPLATE_HOST.fullmatch(host):
            return await registry_front.answer(vertex, request)
        if host.endswith(".googleapis.com") and not host.endswith(_SERVED_HOSTS):
            return _refusal(host)
        return await api.answer(request)

    application = web.Application(
        client_max_size=MAX_BODY_BYTES, middlewares=[refuse_others, refuse_browsers]
    )
    application.add_routes([web.get(HEALTH_ROUTE, health), web.post("/token", token)])
    application.add_routes(metadata_routes(vertex.config))
    application.router.add_route("*", "/{path:.*}", answer)
    return application


def _refusal(host: str) -> web.Response:
    """Returns the answer for a service of Google that is not here, such as Pub/Sub."""
    error = ApiError(Status.UNIMPLEMENTED, f"localvertex does not stand for {host}.")
    return web.json_response(error.rest_body(), status=error.status.http_code)


def _start_watchdog(owner: str) -> IO[bytes]:
    """Starts the watchdog and returns the pipe whose end it waits for."""
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb") as pipe:
        subprocess.Popen(
            [sys.executable, "-m", watchdog.__name__, owner],
            stdin=pipe,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    return os.fdopen(write_end, "wb")


def _choose_ports(remembered: Path) -> dict[str, int]:
    earlier = json.loads(remembered.read_text(encoding="utf-8")) if remembered.is_file() else {}
    ports: dict[str, int] = {}
    for name in PORTS:
        port = free_port(earlier.get(name, 0))
        while port in ports.values():
            port = free_port()
        ports[name] = port
    write_json(remembered, ports)
    remembered.chmod(0o600)
    return ports
