"""The request schema of `/v1/chat/completions`, with the supported subset of OpenAI's fields.

A field of OpenAI's that is not supported is accepted with a value that has no effect (`n: 1`,
`tools: []`); with any other value it is refused by name, never ignored.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

MOST_STOP_STRINGS = 4

# Unsupported fields of OpenAI's, with the values that have no effect and are accepted.
_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "audio": (),
    "frequency_penalty": (0,),
    "function_call": ("none", "auto"),
    "functions": ([],),
    "logit_bias": ({},),
    "logprobs": (False,),
    "modalities": (["text"],),
    "moderation": (),
    "n": (1,),
    "parallel_tool_calls": (True, False),
    "prediction": (),
    "presence_penalty": (0,),
    "prompt_cache_key": (),
    "prompt_cache_options": (),
    "prompt_cache_retention": (),
    "reasoning_effort": ("none",),
    "response_format": ({"type": "text"},),
    "safety_identifier": (),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "top_logprobs": (0,),
    "verbosity": (),
    "web_search_options": (),
}

_Stop = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class ChatRequestError(ValueError):
    """An invalid request. `param` is the field; "" for the whole body."""

    def __init__(self, message: str, param: str = "", code: str = "") -> None:
        super().__init__(message)
        self.param = param
        self.code = code


def _whole_number(value: Any) -> Any:
    # Over gRPC, numbers are doubles: 16 arrives as 16.0.
    return int(value) if isinstance(value, float) and value.is_integer() else value


WholeNumber = Annotated[int, BeforeValidator(_whole_number)]


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class TextPart(_Strict):
    """A part of a message; only text is supported."""

    type: Literal["text"]
    text: str


class ChatTurn(_Strict):
    """One message of a conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]
    # Fields that other servers add to an assistant's message, in case it is sent back.
    refusal: None = None
    tool_calls: None = None
    function_call: None = None
    annotations: list[Any] | None = Field(default=None, max_length=0)
    audio: None = None

    @property
    def text(self) -> str:
        """The content as one string."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.text for part in self.content)


class StreamOptions(_Strict):
    """Options of a streamed answer."""

    include_usage: bool = False
    include_obfuscation: bool | None = None


class ChatRequest(_Strict):
    """A conversation to continue, and how to decode."""

    SUPPORTED: ClassVar[frozenset[str]] = frozenset()  # fields that a subclass does support
    _LAST_ROLES: ClassVar[tuple[str, ...]] = ("user",)

    model: str = Field(default="", max_length=256)
    messages: list[ChatTurn] = Field(min_length=1)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: float | None = Field(default=None, ge=0, le=5, allow_inf_nan=False)
    top_p: float | None = Field(default=None, gt=0, le=1, allow_inf_nan=False)
    max_tokens: WholeNumber | None = Field(default=None, ge=1)
    max_completion_tokens: WholeNumber | None = Field(default=None, ge=1)
    stop: Annotated[
        Annotated[list[_Stop], Field(max_length=MOST_STOP_STRINGS)] | None,
        BeforeValidator(_as_list),
    ] = None
    seed: WholeNumber | None = Field(default=None, ge=0, lt=2**63)
    user: str | None = Field(default=None, max_length=256)
    metadata: dict[str, str] | None = Field(default=None, max_length=16)

    @model_validator(mode="before")
    @classmethod
    def _drop_what_asks_for_nothing(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        kept = dict(value)
        for name, neutral in _NEUTRAL.items():
            if name not in kept or name in cls.SUPPORTED:
                continue
            given = kept.pop(name)
            if given is not None and not any(_same(given, allowed) for allowed in neutral):
                raise ChatRequestError(
                    f"{name} is not supported by this model: leave it out.",
                    name,
                    "unsupported_parameter",
                )
        return kept

    @model_validator(mode="after")
    def _can_be_answered(self) -> "ChatRequest":
        if self.messages[-1].role not in self._LAST_ROLES:
            roles = " or ".join(self._LAST_ROLES)
            raise ChatRequestError(f"the last message must have the role {roles}", "messages")
        if self.stream_options is not None and not self.stream:
            raise ChatRequestError("stream_options needs stream: true", "stream_options")
        if (
            self.max_tokens is not None
            and self.max_completion_tokens is not None
            and self.max_tokens != self.max_completion_tokens
        ):
            raise ChatRequestError(
                "max_tokens and max_completion_tokens differ: give one", "max_tokens"
            )
        return self

    @property
    def limit(self) -> int | None:
        """The maximum number of tokens of the answer, from either field."""
        return self.max_tokens if self.max_tokens is not None else self.max_completion_tokens

    @property
    def stops(self) -> tuple[str, ...]:
        """The strings before which the answer ends."""
        return tuple(self.stop or ())

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with a chunk that counts tokens."""
        return self.stream_options is not None and self.stream_options.include_usage

    def conversation(self) -> list[dict[str, Any]]:
        """Returns the messages in the form of chat templates."""
        return [
            {"role": "system" if turn.role == "developer" else turn.role, "content": turn.text}
            for turn in self.messages
        ]


def parse_chat_request(body: bytes, kind: type[ChatRequest] = ChatRequest) -> ChatRequest:
    """Returns the request in a body.

    Args:
        kind: What is supported, where that is more than `ChatRequest`.

    Raises:
        ChatRequestError: The body is not JSON, or a field is missing, unknown or wrong.
    """
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        raise _explained(error) from error


def _same(given: Any, allowed: Any) -> bool:
    # 1 == True in Python, but `n: true` is not a number.
    return bool(given == allowed) and isinstance(given, bool) == isinstance(allowed, bool)


def _explained(error: ValidationError) -> ChatRequestError:
    # If a field may have several types, the error of the closest one is reported.
    problem = max(
        error.errors(include_url=False, include_input=False), key=lambda found: len(found["loc"])
    )
    cause = problem.get("ctx", {}).get("error")
    if isinstance(cause, ChatRequestError):
        return cause
    param = _path(problem["loc"])
    if problem["type"] == "json_invalid":
        return ChatRequestError(f"the body is not JSON: {problem['ctx']['error']}")
    if problem["type"] == "extra_forbidden":
        return ChatRequestError(f"{param} is not a known field", param, "unknown_parameter")
    if problem["type"] == "missing":
        return ChatRequestError(f"{param} is missing", param, "missing_required_parameter")
    if problem["loc"][:1] == ("messages",) and problem["loc"][-1:] == ("type",):
        return ChatRequestError(f"{param}: only text can be read", param, "unsupported_value")
    message = str(problem["msg"])
    return ChatRequestError(f"{param}: {message[:1].lower()}{message[1:]}".lstrip(": "), param)


def _path(location: tuple[str | int, ...]) -> str:
    """Returns a location as `messages[0].content`, without pydantic's names of alternatives."""
    text = ""
    for position, part in enumerate(location):
        if isinstance(part, int):
            text += f"[{part}]"
        elif position == 0 or part in _FIELDS:
            text += f".{part}"
    return text.lstrip(".")


_FIELDS = {
    name
    for model in (ChatRequest, ChatTurn, TextPart, StreamOptions)
    for name in model.model_fields
}
