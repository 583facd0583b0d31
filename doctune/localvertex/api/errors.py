"""API errors: one status, with its HTTP code for REST and its code for gRPC."""

from dataclasses import dataclass
from enum import Enum
from typing import Any


@dataclass(frozen=True)
class _Codes:
    grpc: int
    http: int


class Status(Enum):
    """google.rpc.Code, with the HTTP code that Google's front ends give it."""

    CANCELLED = _Codes(1, 499)
    INVALID_ARGUMENT = _Codes(3, 400)
    DEADLINE_EXCEEDED = _Codes(4, 504)
    NOT_FOUND = _Codes(5, 404)
    ALREADY_EXISTS = _Codes(6, 409)
    PERMISSION_DENIED = _Codes(7, 403)
    RESOURCE_EXHAUSTED = _Codes(8, 429)
    FAILED_PRECONDITION = _Codes(9, 400)
    ABORTED = _Codes(10, 409)
    UNIMPLEMENTED = _Codes(12, 501)
    INTERNAL = _Codes(13, 500)
    UNAVAILABLE = _Codes(14, 503)

    @property
    def grpc_code(self) -> int:
        """The number of google.rpc.Code."""
        return self.value.grpc

    @property
    def http_code(self) -> int:
        """The HTTP status."""
        return self.value.http


class ApiError(Exception):
    """The error of a refused or failed call; the client gets status and message."""

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message

    def rest_body(self) -> dict[str, Any]:
        """Returns the JSON body that Vertex sends."""
        return {
            "error": {
                "code": self.status.http_code,
                "message": self.message,
                "status": self.status.name,
            }
        }

    def operation_error(self) -> dict[str, Any]:
        """Returns the google.rpc.Status of a failed operation or job."""
        return {"code": self.status.grpc_code, "message": self.message}


def invalid(message: str) -> ApiError:
    """Returns INVALID_ARGUMENT: an argument that is invalid regardless of state."""
    return ApiError(Status.INVALID_ARGUMENT, message)


def not_found(kind: str, name: str) -> ApiError:
    """Returns NOT_FOUND: a missing resource."""
    return ApiError(Status.NOT_FOUND, f"{kind} {name} is not found.")


def precondition(message: str) -> ApiError:
    """Returns FAILED_PRECONDITION: a call that the current state does not allow."""
    return ApiError(Status.FAILED_PRECONDITION, message)
