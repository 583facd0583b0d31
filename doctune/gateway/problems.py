"""What a client is told when a request is not answered: OpenAI's shape of errors."""

from __future__ import annotations

import json
from typing import Any


class GatewayError(Exception):
    """A request that is not answered. `status` is the HTTP status."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str = "",
        param: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code, self.param = code, param
        self.retry_after = retry_after

    def document(self) -> dict[str, Any]:
        """Returns the body of the response."""
        return {
            "error": {
                "message": str(self),
                "type": _TYPES.get(self.status, _type(self.status)),
                "param": self.param or None,
                "code": self.code or None,
            }
        }

    def body(self) -> bytes:
        """Returns the body of the response as JSON."""
        return json.dumps(self.document(), ensure_ascii=False).encode()

    def headers(self) -> dict[str, str]:
        """Returns the headers that go with it."""
        headers = {"content-type": "application/json"}
        if self.retry_after is not None:
            headers["retry-after"] = str(max(1, round(self.retry_after)))
        if self.status == 401:
            headers["www-authenticate"] = "Bearer"
        return headers


_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def _type(status: int) -> str:
    return "invalid_request_error" if status < 500 else "server_error"
