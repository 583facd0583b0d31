"""Passes requests on to an emulator on this machine, streamed in both directions."""

from collections.abc import Mapping

import aiohttp
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer", "host"}
)
_CHUNK = 1 << 20


async def pass_on(
    client: aiohttp.ClientSession,
    request: web.Request,
    url: str,
    body: bytes | aiohttp.StreamReader | None,
) -> web.StreamResponse:
    """Sends a request to another address, and its answer back to who asked.

    Args:
        client: A session that does not decompress what it passes on.
        url: The whole address, encoded.
        body: What to send; `body_of(request)` where nothing of it has been read.
    """
    async with client.request(
        request.method,
        URL(url, encoded=True),
        data=body,
        headers=_forwarded(request.headers),
        allow_redirects=False,
        skip_auto_headers=("Content-Type", "Accept-Encoding"),
    ) as answer:
        response = web.StreamResponse(
            status=answer.status, reason=answer.reason, headers=_forwarded(answer.headers)
        )
        await response.prepare(request)
        async for chunk in answer.content.iter_chunked(_CHUNK):
            await response.write(chunk)
        await response.write_eof()
        return response


def body_of(request: web.Request) -> aiohttp.StreamReader | None:
    """Returns the body of a request as a stream, None where it has none."""
    return request.content if request.body_exists else None


def _forwarded(headers: "CIMultiDictProxy[str] | Mapping[str, str]") -> CIMultiDict[str]:
    return CIMultiDict(
        (name, value) for name, value in headers.items() if name.lower() not in _HOP_BY_HOP
    )
