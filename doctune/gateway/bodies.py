"""Bodies of requests, bounded in size, in time and in what they hold."""

from __future__ import annotations

import asyncio
import json

from fastapi import Request
from pydantic import ValidationError
from starlette.requests import ClientDisconnect

from doctune.chat_schema import ChatRequest, ChatRequestError, parse_chat_request
from doctune.feedback.request import FeedbackRequest
from doctune.gateway.options import GatewayOptions
from doctune.gateway.problems import GatewayError
from doctune.validation import first_problem


async def read_body(request: Request, options: GatewayOptions) -> bytes:
    """Returns the body.

    Raises:
        GatewayError: 413 if it is too large, 408 if it is too slow, 415 if it is not JSON, 499 if
            the client has gone before its end.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise GatewayError(415, "Send JSON, with the header Content-Type: application/json.")
    limit = options.max_body_bytes
    declared = request.headers.get("content-length", "")
    body = bytearray()
    too_large = declared.isdigit() and int(declared) > limit
    if not too_large:
        try:
            async with asyncio.timeout(options.body_seconds):
                async for chunk in request.stream():
                    body += chunk
                    if too_large := len(body) > limit:
                        break
        except TimeoutError as error:
            raise GatewayError(
                408, f"The body did not arrive within {options.body_seconds:g} s: send it again."
            ) from error
        except ClientDisconnect as error:
            raise GatewayError(499, "The client is gone.", code="client_gone") from error
    if too_large:
        raise GatewayError(
            413,
            f"The body is larger than {limit} bytes, the limit of this gateway (max_body_bytes): "
            "send less.",
            code="request_too_large",
        )
    return bytes(body)


def chat_request(body: bytes, options: GatewayOptions) -> ChatRequest:
    """Returns the chat request in a body.

    Raises:
        GatewayError: 400; the message names the field.
    """
    try:
        chat = parse_chat_request(body)
    except ChatRequestError as error:
        raise _invalid(str(error), error.param, error.code) from error
    if len(chat.messages) > options.max_messages:
        raise _invalid(f"messages: more than {options.max_messages} are given", "messages")
    if not chat.model:
        raise _invalid("model is missing", "model", "missing_required_parameter")
    return chat


def text_request(body: bytes, options: GatewayOptions) -> ChatRequest:
    """Returns the chat request that a text completion amounts to.

    Raises:
        GatewayError: 400; the message names the field.
    """
    try:
        document = json.loads(body)
        if not isinstance(document, dict):
            raise ValueError("an object is expected")
    except (ValueError, RecursionError) as error:
        raise _invalid("the body is not JSON") from error
    prompt = document.pop("prompt", None)
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if not isinstance(prompt, str) or not prompt:
        raise _invalid("prompt: give one text", "prompt")
    for name, neutral in (("echo", False), ("best_of", 1), ("suffix", None), ("logprobs", None)):
        if document.pop(name, None) not in (None, neutral):
            raise _invalid(
                f"{name} is not supported by this model: leave it out.",
                name,
                "unsupported_parameter",
            )
    if "messages" in document:
        raise _invalid("messages is not a known field", "messages", "unknown_parameter")
    messages = [{"role": "user", "content": prompt}]
    return chat_request(json.dumps(document | {"messages": messages}).encode(), options)


def feedback_request(body: bytes) -> FeedbackRequest:
    """Returns the feedback in a body.

    Raises:
        GatewayError: 400; the message names the field.
    """
    try:
        return FeedbackRequest.model_validate_json(body)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise _invalid(first_problem(error), ".".join(map(str, problem["loc"][:1]))) from error


def _invalid(message: str, param: str = "", code: str = "") -> GatewayError:
    return GatewayError(400, message, param=param, code=code or "invalid_value")
