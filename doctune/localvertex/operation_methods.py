"""The methods of google.longrunning.Operations."""

import asyncio
from typing import Any

from google.protobuf.message import Message

from doctune.localvertex.api import filters
from doctune.localvertex.api.codec import Document
from doctune.localvertex.api.errors import not_found
from doctune.localvertex.operations import EMPTY, KIND
from doctune.localvertex.vertex import Vertex


async def answer(vertex: Vertex, verb: str, name: str, request: Document) -> Message:
    """Answers google.longrunning.Operations: get, list, wait, cancel, delete.

    Raises:
        ApiError: NOT_FOUND.
    """
    name = vertex.projects.canonical(name)
    if verb == "list":
        return _list(vertex, name, request)
    if verb == "wait":
        await _wait(vertex, name, float(request.get("timeout", "30s").removesuffix("s")))
    with vertex.store.transaction() as transaction:
        operation = transaction.find(KIND, name)
        if operation is None:
            raise not_found("Operation", name)
        if verb == "delete":
            transaction.delete(KIND, name)
    if verb in ("get", "wait"):
        return vertex.operations.message(operation)
    if verb == "cancel":
        vertex.operations.cancel(name)
    return vertex.codec.message(EMPTY, {})


def _list(vertex: Vertex, parent: str, request: Document) -> Message:
    with vertex.store.transaction() as transaction:
        found = transaction.list(KIND, parent.removesuffix("/operations"))
    shown, token = filters.page(
        found, int(request.get("page_size", 0)), request.get("page_token", "")
    )
    result: Any = vertex.codec.message(
        "google.longrunning.ListOperationsResponse", {"next_page_token": token}
    )
    result.operations.extend(vertex.operations.message(operation) for operation in shown)
    return result


async def _wait(vertex: Vertex, name: str, seconds: float) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < deadline:
        with vertex.store.transaction() as transaction:
            if transaction.get(KIND, name).get("done"):
                return
        await asyncio.sleep(0.1)
