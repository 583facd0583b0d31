"""Plain HTTP to Vertex AI and other servers: certificates and proxy are the environment's."""

from __future__ import annotations

import functools
import ssl
import urllib.request
from urllib.parse import urlsplit

import aiohttp


def open_session() -> aiohttp.ClientSession:
    """Returns a session that trusts the environment's certificates."""
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=None, connect=10, sock_read=120),
        connector=aiohttp.TCPConnector(limit=0, ssl=ssl.create_default_context()),
        read_bufsize=1 << 20,
    )


@functools.lru_cache(maxsize=64)
def proxy_for(url: str) -> str | None:
    """Returns the environment's proxy for an address; None for none.

    aiohttp's own `trust_env` asks the environment twice a request, each time in another thread.
    """
    parts = urlsplit(url)
    if urllib.request.proxy_bypass(parts.netloc):
        return None
    return urllib.request.getproxies().get(parts.scheme)
