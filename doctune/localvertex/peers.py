"""Checks the owner of a connection: only this user's own programs are accepted.

A job is a program that runs here, so whoever can reach a port of this server could run commands as
the user who started it; any user of the machine reaches loopback. On Linux the kernel says whose a
socket is. If it does not say, users cannot be distinguished, and everybody is accepted.
"""

import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from aiohttp import web

from doctune.localvertex.api.errors import ApiError, Status

_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_PORT_DIGITS = 4
# Columns of the kernel's table: local address, remote address, state, ..., user.
_LOCAL, _REMOTE, _USER = 1, 2, 7

_known: "WeakKeyDictionary[Any, bool]" = WeakKeyDictionary()


def is_own(peer_port: int, own_port: int) -> bool:
    """Whether the socket at the other end of a loopback connection is this user's, or root's.

    Args:
        peer_port: The port of the other end.
        own_port: The port of this end.
    """
    if sys.platform != "linux":
        return True
    ends = f":{peer_port:0{_PORT_DIGITS}X}", f":{own_port:0{_PORT_DIGITS}X}"
    for table in _TABLES:
        try:
            lines = table.read_text(encoding="ascii").split("\n")[1:]
        except OSError:
            continue
        for line in lines:
            columns = line.split()
            if (
                len(columns) > _USER
                and columns[_LOCAL].endswith(ends[0])
                and columns[_REMOTE].endswith(ends[1])
            ):
                return int(columns[_USER]) in (os.getuid(), 0)
    return False


def connection_is_own(transport: Any) -> bool:
    """As `is_own`, for an asyncio transport; checked once per connection."""
    if transport is None:
        return False
    if transport not in _known:
        peer, own = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        _known[transport] = bool(peer and own) and is_own(peer[1], own[1])
    return _known[transport]


@web.middleware
async def refuse_others(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answers 403 to the programs of other users."""
    if connection_is_own(request.transport):
        return await handler(request)
    error = ApiError(Status.PERMISSION_DENIED, REFUSAL)
    return web.json_response(error.rest_body(), status=error.status.http_code)


REFUSAL = "localvertex answers the programs of the user who started it, and of no other."
