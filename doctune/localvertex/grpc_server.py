"""The gRPC server over TLS, with the same handlers as REST."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
from google.protobuf import json_format
from google.protobuf.message import Message

from doctune.localvertex import operation_methods
from doctune.localvertex.api.errors import ApiError, Status
from doctune.localvertex.api.table import Method
from doctune.localvertex.certificates import Certificates
from doctune.localvertex.dispatch import dispatch
from doctune.localvertex.peers import REFUSAL, is_own
from doctune.localvertex.ports import LOOPBACK
from doctune.localvertex.vertex import Vertex

_MAX_MESSAGE_BYTES = 64 << 20
_KNOWN_PEERS = 1000
_OPERATIONS_SERVICE = "/google.longrunning.Operations/"
_OPERATION_VERBS = {
    "GetOperation": "get",
    "ListOperations": "list",
    "CancelOperation": "cancel",
    "DeleteOperation": "delete",
    "WaitOperation": "wait",
}
_CODES = {code.value[0]: code for code in grpc.StatusCode}

logger = logging.getLogger("doctune.localvertex")


async def start_grpc_server(
    vertex: Vertex, port: int, certificates: Certificates
) -> grpc.aio.Server:
    """Starts the gRPC listener on 127.0.0.1."""
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
            ("grpc.so_reuseport", 0),
        ],
        interceptors=[_RefuseOthers(port)],
    )
    server.add_generic_rpc_handlers((_Handlers(vertex),))
    credentials = grpc.ssl_server_credentials(
        [(certificates.key.read_bytes(), certificates.chain.read_bytes())]
    )
    server.add_secure_port(f"{LOOPBACK}:{port}", credentials)
    await server.start()
    return server


class _RefuseOthers(grpc.aio.ServerInterceptor):
    """Accepts only this user's programs, which connect directly or through the proxy."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._known: dict[str, bool] = {}

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        handler = await continuation(details)
        if handler is None or handler.unary_unary is None:
            return handler

        async def answer(request: Any, context: grpc.aio.ServicerContext) -> Any:
            if not self._is_own(context.peer()):
                await context.abort(grpc.StatusCode.PERMISSION_DENIED, REFUSAL)
            return await handler.unary_unary(request, context)

        return grpc.unary_unary_rpc_method_handler(
            answer,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    def _is_own(self, peer: str) -> bool:
        """Whether a peer such as `ipv4:127.0.0.1:40000` is this user's.

        A port says who it is for as long as its connection lives; many calls share one.
        """
        port = peer.rpartition(":")[2]
        if not port.isdecimal():
            return False
        if not self._known.get(peer):
            if len(self._known) > _KNOWN_PEERS:
                self._known.clear()
            self._known[peer] = is_own(int(port), self._port)
        return self._known[peer]


class _Handlers(grpc.GenericRpcHandler):
    def __init__(self, vertex: Vertex) -> None:
        self._vertex = vertex

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        path = details.method
        if path.startswith(_OPERATIONS_SERVICE):
            return self._operations(path.removeprefix(_OPERATIONS_SERVICE))
        method = self._vertex.table.methods.get(path)
        if method is None:
            return None
        if method.kind != "unary_unary":
            return self._unimplemented(method)

        async def answer(request: Message) -> Message:
            return await dispatch(self._vertex, method, request)

        return _unary(answer, self._vertex.table.message_class(method.request).FromString)

    def _operations(self, name: str) -> grpc.RpcMethodHandler | None:
        verb = _OPERATION_VERBS.get(name)
        if verb is None:
            return None

        async def answer(request: Any) -> Message:
            document = json_format.MessageToDict(request, preserving_proto_field_name=True)
            return await operation_methods.answer(self._vertex, verb, request.name, document)

        request_class = self._vertex.table.message_class(f"google.longrunning.{name}Request")
        return _unary(answer, request_class.FromString)

    def _unimplemented(self, method: Method) -> grpc.RpcMethodHandler:
        async def refuse(_: Any, context: grpc.aio.ServicerContext) -> None:
            await context.abort(
                grpc.StatusCode.UNIMPLEMENTED,
                f"{method.path.lstrip('/')} is not implemented by localvertex.",
            )

        if method.kind == "unary_stream":
            return grpc.unary_unary_rpc_method_handler(refuse)
        return grpc.stream_unary_rpc_method_handler(refuse)


def _unary(
    answer: Callable[[Any], Awaitable[Message]], parse: Callable[[bytes], Message]
) -> grpc.RpcMethodHandler:
    async def call(request: Any, context: grpc.aio.ServicerContext) -> Message | None:
        try:
            return await answer(request)
        except ApiError as error:
            failure = error
        except Exception as error:
            logger.exception("a gRPC call failed")
            failure = ApiError(Status.INTERNAL, f"Internal error: {error}")
        await context.abort(_CODES[failure.status.grpc_code], failure.message)
        return None

    return grpc.unary_unary_rpc_method_handler(
        call,
        request_deserializer=parse,
        response_serializer=lambda value: value.SerializeToString(),
    )
