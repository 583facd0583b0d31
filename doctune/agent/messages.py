"""The messages of a conversation, and the parts of a reply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from doctune.knowledge import Source

Role = Literal["system", "user", "assistant"]
EXTRACTIVE = "extractive"  # the stage that needs no model: the documents' own words


@dataclass(frozen=True, slots=True)
class Message:
    """One message."""

    role: Role
    content: str


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
    left_out: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def refused(self) -> bool:
        """Whether the documents do not say."""
        return not self.sources
