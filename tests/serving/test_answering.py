"""What a client is told of an error, and what the operator reads of it."""

import json
import logging

import pytest

from doctune.chat_schema import ChatRequestError
from doctune.inference.batching import QueueFullError
from doctune.serving.answering import refusal_of
from doctune.serving.schema import RequestError


@pytest.mark.parametrize(
    ("error", "status", "level"),
    [
        (ChatRequestError("tools: secret", "tools", "unsupported_parameter"), 400, logging.INFO),
        (RequestError("secret", 413), 413, logging.INFO),
        (QueueFullError(), 429, logging.WARNING),
        (TimeoutError(), 503, logging.WARNING),
        (RuntimeError("secret"), 500, logging.WARNING),
    ],
)
@pytest.mark.parametrize("route", ["predict", "chat"])
def test_every_route_logs_an_error_alike_and_quotes_no_request(
    caplog: pytest.LogCaptureFixture, error: Exception, status: int, level: int, route: str
) -> None:
    with caplog.at_level(logging.INFO, "doctune.serving"):
        refusal = refusal_of(error, route)
    (record,) = caplog.records
    assert record.levelno == level
    assert record.getMessage().startswith(f"{route}: {status}")
    assert "secret" not in record.getMessage()
    for answer in (refusal.in_vertex_form(), refusal.in_openai_form()):
        assert answer.status_code == status
        assert ("retry-after" in answer.headers) == (status in (429, 503))
    said = json.loads(refusal.in_openai_form().body)["error"]
    assert said["param"] == ("tools" if isinstance(error, ChatRequestError) else None)
