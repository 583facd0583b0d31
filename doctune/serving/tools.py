"""Tools of chat completions: the request's fields, and the calls that a model wrote in its answer.

Only for models whose chat template shows the tools (`ChatTokenizer.takes_tools`); with any other
model `ChatRequest` refuses the field. Templates let a model write a call as a JSON object with
`name` and `arguments` (or `parameters`), alone, in a list, or between `<tool_call>` marks. What is
not such an object, or names a tool that was not offered, is text.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Collection, Iterator
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from doctune.chat_schema import ChatRequest, ChatRequestError, ChatTurn, TextPart

MOST_TOOLS = 64
TOOL_CALLS = "tool_calls"  # why an answer that calls tools ends
_MARKED = re.compile(r"<tool_call>\s*(.*?)\s*(?:</tool_call>|\Z)", re.DOTALL)


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ToolFunction(_Strict):
    """A function that the model may call; `parameters` is a JSON schema."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    description: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict)
    strict: Literal[False] | None = None  # the answer is not held to the schema while it is made


class Tool(_Strict):
    """A tool of a request."""

    type: Literal["function"]
    function: ToolFunction


class CalledFunction(_Strict):
    """What a model called; `arguments` is a JSON object as text."""

    name: str
    arguments: str


class CalledTool(_Strict):
    """A call that a model made earlier in the conversation."""

    id: str
    type: Literal["function"] = "function"
    function: CalledFunction


class ToolTurn(ChatTurn):
    """One message of a conversation in which tools are called."""

    role: Literal["system", "developer", "user", "assistant", "tool"]  # type: ignore[assignment]
    content: str | list[TextPart] | None = None  # type: ignore[assignment]
    tool_calls: list[CalledTool] | None = None  # type: ignore[assignment]
    tool_call_id: str | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> ToolTurn:
        if self.content is None and not (self.role == "assistant" and self.tool_calls):
            raise ValueError("content is missing")
        if (self.role == "tool") != (self.tool_call_id is not None):
            raise ValueError("a message of the role tool, and no other, needs tool_call_id")
        if self.tool_calls and self.role != "assistant":
            raise ValueError("only a message of the role assistant can have tool_calls")
        return self

    @property
    def text(self) -> str:
        """The content as one string; "" for a message that only calls tools."""
        return "" if self.content is None else super().text


class ToolChatRequest(ChatRequest):
    """A conversation to continue, by a model that may call tools."""

    SUPPORTED: ClassVar[frozenset[str]] = frozenset({"tools", "tool_choice"})
    _LAST_ROLES: ClassVar[tuple[str, ...]] = ("user", "tool")

    messages: list[ToolTurn] = Field(min_length=1)  # type: ignore[assignment]
    tools: list[Tool] | None = Field(default=None, max_length=MOST_TOOLS)
    tool_choice: Any = None

    @model_validator(mode="after")
    def _choice_is_free(self) -> ToolChatRequest:
        if self.tool_choice not in (None, "none", "auto"):
            raise ChatRequestError(
                "tool_choice: this model cannot be made to call a tool: give auto or none.",
                "tool_choice",
                "unsupported_parameter",
            )
        return self

    @property
    def offered(self) -> tuple[dict[str, Any], ...]:
        """The tools in the form of chat templates."""
        if self.tool_choice == "none":
            return ()
        return tuple(tool.model_dump(exclude_none=True) for tool in self.tools or ())

    def conversation(self) -> list[dict[str, Any]]:
        """Returns the messages in the form of chat templates, which take arguments as objects."""
        names = {call.id: call.function.name for turn in self.messages for call in _calls(turn)}
        found = super().conversation()
        for message, turn in zip(found, self.messages, strict=True):
            if turn.role == "tool":
                name = names.get(turn.tool_call_id or "")
                if name is None:
                    raise ChatRequestError(
                        f"no message before has a tool call {turn.tool_call_id!r}", "messages"
                    )
                message |= {"tool_call_id": turn.tool_call_id, "name": name}
            elif turn.tool_calls:
                message[TOOL_CALLS] = [_for_template(call) for call in turn.tool_calls]
        return found


def read_calls(text: str, offered: Collection[str]) -> tuple[str, tuple[CalledTool, ...]]:
    """Returns what an answer says beside its calls, and the calls.

    Args:
        offered: The names of the tools that the model was shown.
    """
    calls: list[CalledTool] = []
    said, start = "", 0
    for found in _MARKED.finditer(text):
        made = _written(found[1], offered)
        if made:
            calls += made
            said, start = said + text[start : found.start()], found.end()
    said += text[start:]
    if not calls and (made := _written(text, offered)):
        calls, said = made, ""
    return said.strip(), tuple(calls)


def _written(text: str, offered: Collection[str]) -> list[CalledTool]:
    """Returns the calls that a piece of JSON holds; none where any of it is something else."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return []
    made = list(map(_call, value if isinstance(value, list) else [value]))
    known = [call for call in made if call is not None and call.function.name in offered]
    return known if len(known) == len(made) else []


def _call(value: Any) -> CalledTool | None:
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return None
    arguments = value.get("arguments", value.get("parameters", {}))
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except (ValueError, RecursionError):
            return None
    if not isinstance(arguments, dict):
        return None
    function = CalledFunction(
        name=value["name"], arguments=json.dumps(arguments, ensure_ascii=False)
    )
    return CalledTool(id=f"call_{uuid.uuid4().hex}", function=function)


def _calls(turn: ToolTurn) -> Iterator[CalledTool]:
    yield from turn.tool_calls or ()


def _for_template(call: CalledTool) -> dict[str, Any]:
    try:
        arguments = json.loads(call.function.arguments or "{}")
    except (ValueError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict):
        raise ChatRequestError(
            f"the arguments of the tool call {call.id!r} are not a JSON object", "messages"
        )
    function = {"name": call.function.name, "arguments": arguments}
    return {"id": call.id, "type": call.type, "function": function}
