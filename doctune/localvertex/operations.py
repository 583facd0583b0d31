"""Long-running operations, done at once or run in the background."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from google.protobuf.message import Message

from doctune.localvertex import names
from doctune.localvertex.api.codec import Codec, Document
from doctune.localvertex.api.errors import ApiError, Status
from doctune.localvertex.api.table import Method
from doctune.localvertex.store import Store, Transaction

KIND = "Operation"
EMPTY = "google.protobuf.Empty"

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
        """Runs the work of an operation, and records the result."""
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
        """Marks operations that a previous server left running as failed."""
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
            "response_type": method.operation or EMPTY,
            "metadata_type": method.metadata,
            "metadata": {"generic_metadata": {"create_time": moment, "update_time": moment}},
        }

    def _close(self, transaction: Transaction, operation: Document, outcome: Document) -> None:
        operation |= outcome | {"done": True}
        operation["metadata"]["generic_metadata"]["update_time"] = names.timestamp()
        transaction.put(KIND, operation["name"], operation)
