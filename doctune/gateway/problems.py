"""Errors in OpenAI's format."""

from __future__ import annotations

from typing import Any

from doctune.chat_wire import encoded, error_document


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
        return error_document(str(self), self.status, self.param, self.code)

    def body(self) -> bytes:
        """Returns the body of the response as JSON."""
        return encoded(self.document())

    def headers(self) -> dict[str, str]:
        """Returns the headers that go with it."""
        headers = {"content-type": "application/json"}
        if self.retry_after is not None:
            headers["retry-after"] = str(max(1, round(self.retry_after)))
        if self.status == 401:
            headers["www-authenticate"] = "Bearer"
        return headers
