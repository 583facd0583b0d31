"""Invoke: every route of a model server but its root, over HTTP alone.

A model that is uploaded with `invoke_route_prefix` has this in place of Predict and RawPredict, and
can be deployed to dedicated endpoints only. `ENDPOINT/invoke/ROUTE` is asked of a deployed model by
the traffic split; `ENDPOINT/deployedModels/ID/invoke/ROUTE` of that one, whatever its share.
"""

import re
from dataclasses import dataclass

import aiohttp
from aiohttp import web

from doctune import limits
from doctune.localvertex.api.codec import Document
from doctune.localvertex.api.errors import ApiError, Status, invalid, not_found, precondition
from doctune.localvertex.services.predictions import (
    choose,
    running,
    unavailable_if_broken_off,
    vertex_headers,
)
from doctune.localvertex.serving import ServingProcess
from doctune.localvertex.vertex import Vertex

MAX_BYTES = 10_000_000  # of a dedicated endpoint

_PATH = re.compile(
    r"/v1(?:beta1)?/(?P<endpoint>projects/[^/]+/locations/[^/]+/endpoints/[^/:]+)"
    r"(?:/deployedModels/(?P<deployed>[^/:]+))?/invoke(?P<route>/.*)?"
)
# Of the connection, or for Vertex AI itself.
_NOT_PASSED_ON = frozenset(
    {"host", "authorization", "connection", "content-length", "transfer-encoding", "keep-alive"}
)


@dataclass(frozen=True)
class Invocation:
    """Which route of which model server is asked."""

    endpoint: str
    deployed_model_id: str  # "" where the traffic split decides
    route: str


def invocation_in(path: str) -> Invocation | None:
    """Returns what a path invokes; None where it is no path of Invoke."""
    match = _PATH.fullmatch(path)
    if match is None:
        return None
    return Invocation(match["endpoint"], match["deployed"] or "", match["route"] or "")


async def invoke(
    vertex: Vertex, request: web.Request, invocation: Invocation
) -> web.StreamResponse:
    """Passes a request on to the model server, and its answer back as it comes.

    Raises:
        ApiError: INVALID_ARGUMENT for the root or a body that is too large, NOT_FOUND,
            FAILED_PRECONDITION where the model was not uploaded for it, UNAVAILABLE.
    """
    if len(invocation.route) < 2:
        raise invalid("The root of a model server cannot be invoked: name a route.")
    body = await request.read()
    if len(body) > MAX_BYTES:
        raise invalid(f"The request is larger than {MAX_BYTES} bytes ({len(body)}).")
    endpoint = vertex.projects.canonical(invocation.endpoint)
    deployed, process = _asked(vertex, endpoint, invocation.deployed_model_id)
    if not process.spec.is_invoked:
        raise precondition(
            f"The deployed model {deployed['id']} cannot be invoked: its model was uploaded "
            "without invoke_route_prefix."
        )
    _check_host(vertex, endpoint, request)
    headers = {
        name: value for name, value in request.headers.items() if name.lower() not in _NOT_PASSED_ON
    }
    query = f"?{request.rel_url.raw_query_string}" if request.rel_url.raw_query_string else ""
    with unavailable_if_broken_off(deployed, process):
        async with vertex.client.request(
            request.method,
            process.url(f"{invocation.route}{query}"),
            data=body,
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=limits.LOCAL_PREDICTION.seconds),
        ) as answer:
            said_by = vertex_headers(endpoint, deployed)
            response = web.StreamResponse(
                status=answer.status,
                headers={**said_by, "Content-Type": answer.headers.get("Content-Type", "")},
            )
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response


def _asked(
    vertex: Vertex, endpoint: str, deployed_model_id: str
) -> tuple[Document, ServingProcess]:
    if not deployed_model_id:
        return choose(vertex, endpoint)
    for deployed in vertex.route(endpoint).get("deployed_models", ()):
        if deployed["id"] == deployed_model_id:
            return deployed, running(vertex, endpoint, deployed)
    raise not_found("DeployedModel", deployed_model_id)


def _check_host(vertex: Vertex, endpoint: str, request: web.Request) -> None:
    """Refuses a request that was sent to the API's host: only the endpoint's own has these paths.

    Raises:
        ApiError: NOT_FOUND.
    """
    host = vertex.route(endpoint).get("dedicated_endpoint_dns", "")
    if host and request.host.partition(":")[0] != host:
        raise ApiError(
            Status.NOT_FOUND, f"{endpoint} is a dedicated endpoint: send the request to {host}."
        )
