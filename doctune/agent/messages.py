"""The messages of a conversation, and the parts of a reply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from doctune.knowledge import Source

Role = Literal["system", "user", "assistant", "tool"]
EXTRACTIVE = "extractive"  # the stage that needs no model: the documents' own words


@dataclass(frozen=True, slots=True)
class ToolCall:
    """What a model asks of a tool.

    Attributes:
        id: As the result names it.
        arguments: A JSON object, as the model wrote it.
    """

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A call with its result."""

    call: ToolCall
    result: str

    def document(self) -> dict[str, Any]:
        """Returns it as JSON has it."""
        return {"name": self.call.name, "arguments": self.call.arguments, "result": self.result}


@dataclass(frozen=True, slots=True)
class Message:
    """One message.

    Attributes:
        calls: Of the assistant's, the tools that it calls.
        answers: Of a tool's, the id of the call.
    """

    role: Role
    content: str
    calls: tuple[ToolCall, ...] = ()
    answers: str = ""


@dataclass(frozen=True, slots=True)
class Citation:
    """A source as a reply shows it.

    Attributes:
        number: As the text names it, in brackets.
    """

    number: int
    source: Source

    def document(self) -> dict[str, Any]:
        """Returns it as JSON has it; `picture` is a path of the gateway."""
        one = self.source
        return {
            "number": self.number,
            "id": one.id,
            "document": one.file,
            "title": one.title,
            "page": one.page,
            "heading": list(one.heading),
            "box": [round(value, 2) for value in one.box],
            "text": one.text,
            "quote": one.quote,
            "picture": f"/v1/sources/{one.id}/page.png",
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """Who answered: a stage, and the model's version where a model did."""

    stage: str
    model_version: str = ""
    deployed_model_id: str = ""
    fallback: bool = False  # whether an earlier stage should have answered


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the agent says.

    Attributes:
        text: With `[1]` after each sentence that a source supports.
        question: What was asked, put so that it can be read alone.
        sources: What the text stands on; none where the documents do not say.
        closest: Where to look, where the documents do not say.
        unsupported: Numbers, names and dates of the text that no passage holds.
        tools: The tools that the model called for it.
        left_out: What of the conversation the model was not shown; "" for nothing.
        seconds: How long each part took.
    """

    text: str
    question: str
    speaker: Speaker
    sources: tuple[Citation, ...] = ()
    closest: tuple[Citation, ...] = ()
    unsupported: tuple[str, ...] = ()
    confidence: float = 0.0
    tools: tuple[ToolUse, ...] = ()
    left_out: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def refused(self) -> bool:
        """Whether neither the documents nor a tool say."""
        return not self.sources and not self.tools
