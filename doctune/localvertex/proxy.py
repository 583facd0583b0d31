"""The loopback CONNECT proxy: Google's API names lead here, other hosts are refused.

A client that honours `https_proxy` asks for `us-central1-aiplatform.googleapis.com:443`; its first
TLS record says by ALPN what it speaks, and the connection is handed to the listener for that. gRPC
offers `h2` alone; curl and browsers' clients offer `http/1.1` beside it, and get REST in that.
Plain `http://` for these names, and for the metadata server, is asked of the proxy in full.
Nothing is sent to another machine, but for the hosts that the configuration names: those are really
reached, through the proxy that this server was started with where there is one.
"""

import asyncio
import base64
import contextlib
import logging
import socket
from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

from doctune import limits
from doctune.localvertex.peers import REFUSAL, connection_is_own
from doctune.localvertex.ports import LOOPBACK

# Dedicated endpoints and public index endpoints have a host each under the last two of them.
GOOGLE_HOSTS = (
    *(".googleapis.com", ".pkg.dev"),
    *(".prediction.vertexai.goog", ".vdb.vertexai.goog"),
)
# Names of the metadata server that some clients have built in.
METADATA_HOSTS = ("metadata.google.internal", "metadata", "169.254.169.254")
_OF_A_CONNECTION = frozenset({"host", "connection", "proxy-connection", "proxy-authorization"})
_HEAD_LIMIT = 16384
_CHUNK = 1 << 18

logger = logging.getLogger("doctune.localvertex")


class ConnectProxy:
    """Listens for CONNECT and splices connections to the local listeners."""

    def __init__(
        self,
        rest_port: int,
        grpc_port: int,
        allowed_hosts: Sequence[str] = (),
        upstream: str = "",
        http_port: int = 0,
    ) -> None:
        """
        Args:
            http_port: Where plain HTTP is answered.
            allowed_hosts: What is let through to other machines: NAME, *.NAME, each with :PORT
                where it is not 443.
            upstream: The HTTP proxy through which other machines are reached; "" for none.
        """
        self._rest_port, self._grpc_port = rest_port, grpc_port
        self._http_port = http_port
        self._allowed = tuple(host.lower() for host in allowed_hosts)
        self._upstream = upstream
        self._server: asyncio.Server | None = None

    async def start(self, port: int) -> None:
        """Starts to listen on 127.0.0.1."""
        self._server = await asyncio.start_server(self._serve, LOOPBACK, port, limit=_HEAD_LIMIT)

    async def stop(self) -> None:
        """Stops listening; open connections end with the process."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(
                ConnectionError,
                asyncio.IncompleteReadError,
                asyncio.LimitOverrunError,
                TimeoutError,
            ):
                await self._connect(reader, writer)
        finally:
            writer.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not connection_is_own(writer.transport):
            await _refuse(writer, "403 Forbidden", REFUSAL)
            return
        patience = limits.CONNECTION.seconds
        head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), patience)).decode("latin-1")
        method, _, rest = head.partition(" ")
        target = rest.partition(" ")[0]
        if method != "CONNECT":
            await self._pass_plain(head, target, reader, writer)
            return
        host, _, port = target.rpartition(":")
        if self._lets_through(host.lower(), port):
            await self._let_through(target, reader, writer)
            return
        if port != "443" or not host.lower().endswith(GOOGLE_HOSTS):
            logger.info("refused a connection to %s", target)
            await _refuse(
                writer,
                "403 Forbidden",
                f"localvertex lets nothing leave: {target}; to let it through, name "
                f"{host if port == '443' else target} in local.allowed_hosts of vertex_config.yaml",
            )
            return
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await writer.drain()
        hello = await asyncio.wait_for(_first_record(reader), patience)
        offered = alpn_protocols(hello)
        is_grpc = "h2" in offered and "http/1.1" not in offered
        local_port = self._grpc_port if is_grpc else self._rest_port
        local_reader, local_writer = await asyncio.wait_for(
            asyncio.open_connection(LOOPBACK, local_port), patience
        )
        local_writer.write(hello)
        client = writer.get_extra_info("socket")
        _acknowledge_at_once(client)
        await asyncio.gather(_pipe(reader, local_writer, client), _pipe(local_reader, writer))

    async def _pass_plain(
        self, head: str, target: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Hands a request of plain HTTP to the listener for it; one request a connection."""
        url = urlsplit(target)
        host = (url.hostname or "").lower()
        if url.scheme != "http" or url.port not in (None, 80):
            await _refuse(writer, "405 Method Not Allowed", "CONNECT or a http:// URL is expected")
            return
        if host not in METADATA_HOSTS and not host.endswith(GOOGLE_HOSTS):
            logger.info("refused %s", target)
            await _refuse(
                writer, "403 Forbidden", f"localvertex lets nothing leave by plain HTTP: {host}"
            )
            return
        first, *fields = head.removesuffix("\r\n\r\n").split("\r\n")
        path = f"{url.path or '/'}{f'?{url.query}' if url.query else ''}"
        kept = [line for line in fields if line.partition(":")[0].lower() not in _OF_A_CONNECTION]
        method, version = first.split(" ")[0], first.split(" ")[-1]
        lines = [f"{method} {path} {version}", f"Host: {host}", "Connection: close", *kept]
        local_reader, local_writer = await asyncio.wait_for(
            asyncio.open_connection(LOOPBACK, self._http_port), limits.CONNECTION.seconds
        )
        local_writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        await asyncio.gather(_pipe(reader, local_writer), _pipe(local_reader, writer))

    def _lets_through(self, host: str, port: str) -> bool:
        for allowed in self._allowed:
            name, _, its_port = allowed.partition(":")
            same = host.endswith(name[1:]) if name.startswith("*.") else host == name
            if same and port == (its_port or "443"):
                return True
        return False

    async def _let_through(
        self, target: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            async with asyncio.timeout(limits.CONNECTION.seconds):
                far_reader, far_writer = await self._reach(target)
        except (OSError, asyncio.IncompleteReadError) as error:
            reason = f"{target} cannot be reached from here: {error or 'no answer in time'}"
            await _refuse(writer, "502 Bad Gateway", reason)
            return
        logger.info("let a connection to %s through", target)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await writer.drain()
        await asyncio.gather(_pipe(reader, far_writer), _pipe(far_reader, writer))

    async def _reach(self, target: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connects to another machine, through the proxy that is set for this one, if any."""
        host, _, port = target.rpartition(":")
        if not self._upstream:
            return await asyncio.open_connection(host, int(port))
        proxy = urlsplit(self._upstream)
        reader, writer = await asyncio.open_connection(proxy.hostname, proxy.port or 80)
        writer.write(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n".encode())
        if proxy.username:
            pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}".encode()
            writer.write(b"Proxy-Authorization: Basic " + base64.b64encode(pair) + b"\r\n")
        writer.write(b"\r\n")
        await writer.drain()
        status = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n", 1)[0].decode("latin-1")
        if status.split(" ")[1:2] != ["200"]:
            writer.close()
            raise ConnectionError(f"the proxy in front of this machine says {status!r}")
        return reader, writer


async def _refuse(writer: asyncio.StreamWriter, status: str, reason: str) -> None:
    body = f"{reason}\n".encode()
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()


async def _first_record(reader: asyncio.StreamReader) -> bytes:
    header = await reader.readexactly(5)
    return header + await reader.readexactly(int.from_bytes(header[3:5]))


async def _pipe(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, own: socket.socket | None = None
) -> None:
    try:
        while data := await reader.read(_CHUNK):
            _acknowledge_at_once(own)
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass  # the other side is gone: so is this one
    finally:
        writer.close()


def _acknowledge_at_once(connection: socket.socket | None) -> None:
    """Turns delayed acknowledgements off until the kernel turns them on again.

    urllib3 leaves Nagle's algorithm on towards proxies: each request's body would wait 40 ms for
    the acknowledgement of its head.
    """
    if connection is not None and hasattr(socket, "TCP_QUICKACK"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def alpn_protocols(record: bytes) -> list[str]:
    """Returns the application protocols that a TLS ClientHello offers (RFC 8446, RFC 7301)."""
    try:
        at = 5 + 4 + 2 + 32  # record header, handshake header, version, random
        at += 1 + record[at]  # session id
        at += 2 + int.from_bytes(record[at : at + 2])  # cipher suites
        at += 1 + record[at]  # compression methods
        end = at + 2 + int.from_bytes(record[at : at + 2])
        at += 2
        while at + 4 <= end:
            kind = int.from_bytes(record[at : at + 2])
            size = int.from_bytes(record[at + 2 : at + 4])
            if kind == 16:
                return _protocol_names(record[at + 6 : at + 4 + size])
            at += 4 + size
    except IndexError:
        pass  # not a ClientHello: REST's listener will say so
    return []


def _protocol_names(names: bytes) -> list[str]:
    found, at = [], 0
    while at < len(names):
        found.append(names[at + 1 : at + 1 + names[at]].decode("latin-1"))
        at += 1 + names[at]
    return found
