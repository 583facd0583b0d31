"""The schema of prediction requests, and the errors of invalid ones.

The bodies are those of Vertex AI: `{"instances": [...], "parameters": {...}}`. An unknown field is
refused rather than ignored, since a misspelt `max_new_token` would silently have no effect.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from doctune.chat_schema import WholeNumber
from doctune.errors import UsageError


class RequestError(UsageError):
    """An invalid request. `status` is the HTTP status."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ChatMessage(_Strict):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


class Instance(_Strict):
    """One input of a prediction: a conversation, or a single prompt from the user."""

    messages: tuple[ChatMessage, ...] | None = Field(default=None, min_length=1, strict=False)
    prompt: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _one_of_both(self) -> "Instance":
        if (self.messages is None) == (self.prompt is None):
            raise ValueError("give either messages or prompt")
        if self.messages is not None and self.messages[-1].role != "user":
            raise ValueError("the last message must have the role user")
        return self

    def conversation(self) -> list[dict[str, str]]:
        """Returns the messages to answer."""
        if self.messages is None:
            return [{"role": "user", "content": self.prompt or ""}]
        return [message.model_dump() for message in self.messages]


class Parameters(_Strict):
    """How to decode. `max_new_tokens` None: the server's default, or what the context leaves."""

    max_new_tokens: WholeNumber | None = Field(default=None, ge=1)
    temperature: float = Field(default=0.0, ge=0, le=5, allow_inf_nan=False)
    top_p: float = Field(default=1.0, gt=0, le=1, allow_inf_nan=False)
    seed: WholeNumber | None = Field(default=None, ge=0, lt=2**63)


class PredictRequest(_Strict):
    """The body of a prediction."""

    instances: list[Instance] = Field(min_length=1)
    parameters: Parameters | None = None


def is_chat_body(body: bytes) -> bool:
    """Returns whether a body of the predict route is in OpenAI's form and not in Vertex AI's.

    A quotation mark within a JSON string is escaped, so the words can only match keys.
    """
    return b'"messages"' in body and b'"instances"' not in body


def check_instances(given: int, most: int) -> None:
    """Refuses more instances than are allowed.

    Raises:
        RequestError: There are too many instances.
    """
    if given > most:
        raise RequestError(f"instances: {given} are given, {most} are allowed")


def check_answer_tokens(wanted: int | None, most: int, field: str) -> None:
    """Refuses an answer that is longer than allowed.

    Raises:
        RequestError: It is; the message names the field.
    """
    if wanted is not None and wanted > most:
        raise RequestError(f"{field}: {wanted} is more than {most}")


def parse_request(body: bytes) -> PredictRequest:
    """Returns the request in a body.

    Raises:
        RequestError: The body is not JSON, or a field is missing, unknown or wrong; it is named.
    """
    try:
        return PredictRequest.model_validate_json(body)
    except ValidationError as error:
        raise RequestError(_explain(error)) from error


def _explain(error: ValidationError, most: int = 3) -> str:
    problems = error.errors(include_url=False, include_input=False)
    said = [f"{_path(problem['loc'])}{_message(problem)}" for problem in problems[:most]]
    if len(problems) > most:
        said.append(f"and {len(problems) - most} more")
    return "; ".join(said)


def _message(problem: Any) -> str:
    message = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        return "unknown field"
    if problem["type"] == "missing":
        return "field is missing"
    return message[:1].lower() + message[1:]


def _path(location: tuple[str | int, ...]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return f"{text.lstrip('.')}: " if text else ""
