"""Accepts invalid HTTP requests that Google's servers accept, too.

TensorFlow's own client of Cloud Storage sends `Transfer-Encoding: identity` beside a
`Content-Length`; aiohttp refuses the two together.
"""

import asyncio
import re
from collections.abc import Callable

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

_HEAD = re.compile(rb"\A(?:GET|HEAD|POST|PUT|PATCH|DELETE) \S+ HTTP/1\.1\r\n")
_IDENTITY = re.compile(rb"\r\nTransfer-Encoding: *identity(?=\r\n|\Z)", re.IGNORECASE)


class _TolerantHandler(RequestHandler):
    """Parses requests without the meaningless header."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        super().data_received(without_identity(data))


def tolerant(server: web.Server) -> Callable[[], asyncio.Protocol]:
    """Returns a factory of a protocol that accepts such requests."""

    def make() -> asyncio.Protocol:
        handler = server()
        handler.__class__ = _TolerantHandler
        return handler

    return make


def without_identity(data: bytes) -> bytes:
    """Removes the header from received data, if it is the head of a request."""
    if _HEAD.match(data) is None:
        return data  # part of a request's body
    head, end, body = data.partition(b"\r\n\r\n")
    return _IDENTITY.sub(b"", head) + end + body
