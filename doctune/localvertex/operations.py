"""Long-running operations: those that are done at once, and those that run on behind the answer."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from google.protobuf.message import Message

from doctune.localvertex import names
from doctune.localvertex.api import filters
from doctune.localvertex.api.codec import Codec, Document
from doctune.localvertex.api.errors import ApiError, Status, not_found
from doctune.localvertex.api.table import Method
from doctune.localvertex.store import Store, Transaction

if TYPE_CHECKING:
    from doctune.localvertex.vertex import Vertex

KIND = "Operation"
_EMPTY = "google.protobuf.Empty"

logger = logging.getLogger("doctune.localvertex")


class Operations:
    """The operations of one server."""

    def __init__(self, store: Store, codec: Codec) -> None:
        self._store, self._codec = store, codec
        self._running: dict[str, asyncio.Task[Any] | None] = {}

    def finished(
        self, transaction: Transaction, method: Method, resource: str, response: Document
    ) -> Document:
        """Records an operation that has succeeded."""
        operation = self._new(method, resource)
        operation |= {"done": True, "response": response}
        transaction.put(KIND, operation["name"], operation)
        return operation

    def started(self, transaction: Transaction, method: Method, resource: str) -> Document:
        """Records an operation that is about to run."""
        operation = self._new(method, resource)
        transaction.put(KIND, operation["name"], operation)
        return operation

    async def carry_out(self, name: str, work: Callable[[], Awaitable[Document]]) -> None:
        """Does the work of an operation and records what became of it."""
        self._running[name] = asyncio.current_task()
        try:
            outcome: Document = {"response": await work()}
        except ApiError as error:
            outcome = {"error": error.operation_error()}
        except asyncio.CancelledError:
            outcome = {"error": ApiError(Status.CANCELLED, "Cancelled.").operation_error()}
        except Exception as error:
            logger.exception("operation %s failed", name)
            outcome = {
                "error": ApiError(Status.INTERNAL, f"Internal error: {error}").operation_error()
            }
        finally:
            self._running.pop(name, None)
        with self._store.transaction() as transaction:
            self._close(transaction, transaction.get(KIND, name), outcome)

    def cancel(self, name: str) -> None:
        """Cancels a running operation; one that is done stays as it is."""
        if task := self._running.get(name):
            task.cancel()

    def fail_unfinished(self, transaction: Transaction) -> None:
        """Marks as failed what a server that is gone has left running."""
        reason = ApiError(Status.ABORTED, "localvertex was stopped while this operation ran.")
        for operation in transaction.list(KIND):
            if not operation.get("done"):
                self._close(transaction, operation, {"error": reason.operation_error()})

    def message(self, operation: Document) -> Message:
        """Returns an operation as a message."""
        result: Any = self._codec.message(
            "google.longrunning.Operation",
            {"name": operation["name"], "done": operation.get("done", False)},
        )
        if operation["metadata_type"]:
            result.metadata.Pack(
                self._codec.message(operation["metadata_type"], operation["metadata"])
            )
        if "error" in operation:
            result.error.code = operation["error"]["code"]
            result.error.message = operation["error"]["message"]
        elif operation.get("done"):
            result.response.Pack(
                self._codec.message(operation["response_type"], operation["response"])
            )
        return result

    def _new(self, method: Method, resource: str) -> Document:
        moment = names.timestamp()
        return {
            "name": f"{resource}/operations/{names.new_id()}",
            "done": False,
            "response_type": method.operation or _EMPTY,
            "metadata_type": method.metadata,
            "metadata": {"generic_metadata": {"create_time": moment, "update_time": moment}},
        }

    def _close(self, transaction: Transaction, operation: Document, outcome: Document) -> None:
        operation |= outcome | {"done": True}
        operation["metadata"]["generic_metadata"]["update_time"] = names.timestamp()
        transaction.put(KIND, operation["name"], operation)


async def answer(vertex: "Vertex", verb: str, name: str, request: Document) -> Message:
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
    return vertex.codec.message(_EMPTY, {})


def _list(vertex: "Vertex", parent: str, request: Document) -> Message:
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


async def _wait(vertex: "Vertex", name: str, seconds: float) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < deadline:
        with vertex.store.transaction() as transaction:
            if transaction.get(KIND, name).get("done"):
                return
        await asyncio.sleep(0.1)
