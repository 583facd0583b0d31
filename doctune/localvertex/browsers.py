"""Refuses requests of web pages, which could otherwise run jobs on this machine.

A page of any site can send requests to 127.0.0.1. Browsers add an Origin header, and a page that
resolves its own name to 127.0.0.1 (DNS rebinding) has that name in the Host header. Google's
clients do neither.
"""

from collections.abc import Awaitable, Callable

from aiohttp import web

from doctune.localvertex.api.errors import ApiError, Status
from doctune.localvertex.proxy import GOOGLE_HOSTS, METADATA_HOSTS

_LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", *METADATA_HOSTS})


@web.middleware
async def refuse_browsers(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answers 403 to requests that come from a web page."""
    host = request.host.partition(":")[0].lower()
    known = host in _LOCAL_HOSTS or host.endswith(GOOGLE_HOSTS)
    if "Origin" not in request.headers and known:
        return await handler(request)
    error = ApiError(
        Status.PERMISSION_DENIED,
        f"localvertex answers programs on this machine, not web pages (host {host!r}).",
    )
    return web.json_response(error.rest_body(), status=error.status.http_code)
