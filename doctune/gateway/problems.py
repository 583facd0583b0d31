"""Errors in OpenAI's format."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from doctune.chat_wire import encoded, error_document


class GatewayError(Exception):
    """An error response. `status` is the HTTP status."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str = "",
        param: str = "",
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Describes the error.

        Args:
            code: OpenAI's short name of the problem, for programs.
            param: The field of the request that is wrong.
            retry_after: Seconds after which the request may be sent again.
            headers: Further headers of the response.
        """
        super().__init__(message)
        self.status = status
        self.code, self.param = code, param
        self.retry_after = retry_after
        self._more = dict(headers or {})

    def add_headers(self, headers: Mapping[str, str]) -> None:
        """Adds headers to the response; existing ones are kept."""
        self._more = {**headers, **self._more}

    def document(self) -> dict[str, Any]:
        """Returns the body of the response."""
        return error_document(str(self), self.status, self.param, self.code)

    def body(self) -> bytes:
        """Returns the body of the response as JSON."""
        return encoded(self.document())

    def headers(self) -> dict[str, str]:
        """Returns the headers that go with it."""
        headers = {**self._more, "content-type": "application/json"}
        if self.retry_after is not None:
            headers["retry-after"] = str(whole_seconds(self.retry_after))
        if self.status == 401:
            headers["www-authenticate"] = "Bearer"
        return headers


def whole_seconds(seconds: float) -> int:
    """Returns the seconds that `Retry-After` gives: rounded up, so that no retry is too early."""
    return max(1, math.ceil(seconds))
