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
    """A model's call of a tool.

    Attributes:
        id: The id that the result refers to.
        arguments: A JSON object, as the model wrote it.
    """

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A call of a tool, and its result."""

    call: ToolCall
    result: str

    def document(self) -> dict[str, Any]:
        """Returns it as a JSON object."""
        return {"name": self.call.name, "arguments": self.call.arguments, "result": self.result}


@dataclass(frozen=True, slots=True)
class Message:
    """One message.

    Attributes:
        calls: The tools that an assistant's message calls.
        answers: The id of the call that a tool's message answers.
    """

    role: Role
    content: str
    calls: tuple[ToolCall, ...] = ()
    answers: str = ""


@dataclass(frozen=True, slots=True)
class Citation:
    """A source of a reply.

    Attributes:
        number: Its number in the text, in brackets.
    """

    number: int
    source: Source

    def document(self) -> dict[str, Any]:
        """Returns it as a JSON object; `picture` is a path on the gateway."""
        one = self.source
        document = {
            "number": self.number,
            "id": one.id,
            "document": one.file,
            "title": one.title,
            "page": one.page,
            "heading": list(one.heading),
            "box": [round(value, 2) for value in one.box],
            "text": one.text,
            "quote": one.quote,
            "picture": f"/v1/sources/{one.id}/page.png" if one.id else "",
        }
        if one.feedback:
            document["feedback"] = list(one.feedback)
        return document


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """The stage that answered, and the version of its model."""

    stage: str
    model_version: str = ""
    deployed_model_id: str = ""
    fallback: bool = False  # whether an earlier stage should have answered


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The agent's answer.

    Attributes:
        text: The answer, with `[1]` after each sentence that a source supports.
        question: The question in self-contained form.
        sources: The sources of the text; empty if the documents do not say.
        closest: The closest passages, if the documents do not say.
        unsupported: Numbers, names and dates of the text that no passage contains.
        tools: The tools that the model called.
        left_out: What the model was not shown of the conversation; "" for nothing.
        seconds: Duration of each part.
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
        """Whether neither the documents nor a tool have the answer."""
        return not self.sources and not self.tools
