"""The prompt of a grounded question. All callers that pass passages to a model use this function.

A model answers best in the format that it was trained on, so the data set, the evaluation, the
agent and the server must use the same one. Its version is stored with each model (`training.json`).
Any change here, even of one character, needs a new version.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from doctune.knowledge.index import FoundPassage

PROMPT_VERSION = 1
SHOWN = 3  # passages in a prompt
REFUSAL = "The documents do not say."
_TASK = (
    "Answer the question from the passages below, in their words, with figures and units as they "
    f"stand. Name the passage in brackets. If none of them says it, answer: {REFUSAL}"
)


@dataclass(frozen=True, slots=True)
class PromptPassage:
    """A passage as a prompt shows it."""

    title: str
    page: int
    text: str


def headed_text(heading: Sequence[str], text: str) -> str:
    """Returns the text of a passage, preceded by its headings."""
    path = " > ".join(heading)
    return f"{path}: {text}" if path else text


def prompt_passage(found: FoundPassage) -> PromptPassage:
    """Returns a passage that the index found as prompts show it."""
    return PromptPassage(found.title, found.pages[0], headed_text(found.heading, found.text))


def grounded_prompt(question: str, passages: Sequence[PromptPassage]) -> str:
    """Returns the user's message of a grounded question.

    Args:
        question: As the user put it.
        passages: In the order in which they are numbered, from [1].
    """
    parts = [_TASK]
    for number, one in enumerate(passages, 1):
        parts.append(f"[{number}] {one.title}, page {one.page}\n{one.text.strip()}")
    parts.append(f"Question: {' '.join(question.split())}")
    return "\n\n".join(parts)
