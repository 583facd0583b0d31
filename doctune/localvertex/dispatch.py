"""The handler table, which REST and gRPC share.

A handler takes the call and the request as a document and returns the response as a document. It
runs inside one transaction; an `async` handler opens its own, because it waits for others
meanwhile.
"""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf import descriptor
from google.protobuf.message import Message

from doctune.localvertex.api.codec import Document
from doctune.localvertex.api.errors import ApiError, Status
from doctune.localvertex.api.table import Method
from doctune.localvertex.store import Transaction
from doctune.localvertex.vertex import Vertex

Handler = Callable[["Call", Document], Any]
HANDLERS: dict[str, Handler] = {}

_OPERATION = "google.longrunning.Operation"


def handles(key: str) -> Callable[[Handler], Handler]:
    """Registers the handler of a method, such as "ModelService.GetModel", for all versions."""

    def register(handler: Handler) -> Handler:
        if key in HANDLERS:
            raise ValueError(f"{key} has two handlers")
        HANDLERS[key] = handler
        return handler

    return register


@dataclass(frozen=True)
class Call:
    """A call of a method, with the context for its handler."""

    method: Method
    vertex: Vertex
    _transaction: Transaction | None = None

    @property
    def transaction(self) -> Transaction:
        """The transaction of the call; async handlers have none."""
        if self._transaction is None:
            raise AssertionError(f"{self.method.key} is async: it opens its own transactions")
        return self._transaction

    def type(self, name: str) -> descriptor.Descriptor:
        """Returns a message type of the API, in the version of the call."""
        package = self.method.request.rpartition(".")[0]
        return self.vertex.table.descriptor(f"{package}.{name}")

    def finished(self, resource: str, response: Document) -> Document:
        """Returns an operation that has already succeeded."""
        return self.vertex.operations.finished(self.transaction, self.method, resource, response)

    def start(self, resource: str, work: Callable[[], Awaitable[Document]]) -> Document:
        """Returns an operation that runs in the background once this call is committed."""
        operation = self.vertex.operations.started(self.transaction, self.method, resource)
        self.transaction.after_commit(
            lambda: self.vertex.background(
                self.vertex.operations.carry_out(operation["name"], work)
            )
        )
        return operation


async def dispatch(vertex: Vertex, method: Method, request: Message) -> Message:
    """Answers a call.

    Raises:
        ApiError: The call is refused, fails, or has no handler (UNIMPLEMENTED).
    """
    document = vertex.codec.document(request)
    response = await dispatch_document(vertex, method, document)
    if method.response == _OPERATION:
        return vertex.operations.message(response)
    return vertex.codec.message(method.response, response)


async def dispatch_document(vertex: Vertex, method: Method, request: Document) -> Document:
    """As `dispatch`, on documents."""
    handler = HANDLERS.get(method.key)
    if handler is None:
        raise ApiError(
            Status.UNIMPLEMENTED, f"{method.path.lstrip('/')} is not implemented by localvertex."
        )
    for field, value in request.items():
        if isinstance(value, str):
            request[field] = vertex.projects.canonical(value)
    if inspect.iscoroutinefunction(handler):
        return await handler(Call(method, vertex), request)
    with vertex.store.transaction() as transaction:
        return handler(Call(method, vertex, transaction), request)
