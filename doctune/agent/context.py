"""The prompt for a model: system message, summary of old turns, recent turns, passages.

The passages come first by right, since an answer stands on them; then the last turns, then one
sentence of each older turn. Tokens are estimated from characters, rather too many than too few: the
tokenizer is the model's, and the model is elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from doctune.agent.citing import without_marks
from doctune.agent.followups import Turn
from doctune.agent.messages import Message
from doctune.agent.options import AgentOptions
from doctune.dataset.text import sentences
from doctune.knowledge import Source
from doctune.knowledge.prompt import PromptPassage, grounded_prompt

_CHARACTERS_PER_TOKEN = 3
_PER_MESSAGE = 8
_PASSAGES_SHARE = 0.7  # of the budget, that passages may take before turns are counted
_SUMMARY_SHARE = 0.15
_EARLIER = "Earlier in this conversation:"
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")


@dataclass(frozen=True, slots=True)
class Context:
    """The messages for a model, and what did not fit.

    Attributes:
        shown: The passages in the prompt, in its order.
        left_out: For the log; "" where all fitted.
    """

    messages: tuple[Message, ...]
    shown: tuple[Source, ...]
    left_out: str


def build_context(
    question: str, places: Sequence[Source], earlier: Sequence[Turn], options: AgentOptions
) -> Context:
    """Returns what to send, within `options.context_tokens`."""
    budget = options.context_tokens - estimate(options.system)
    shown = _passages(question, places, int(budget * _PASSAGES_SHARE))
    prompt = grounded_prompt(question, [passage for _, passage in shown])
    budget -= estimate(prompt)
    turns: list[Turn] = []
    for turn in list(reversed(earlier))[: options.turns]:
        cost = estimate(turn.question) + estimate(turn.answer)
        if cost > budget:
            break
        budget -= cost
        turns.insert(0, turn)
    older = earlier[: len(earlier) - len(turns)]
    summary = _summary(older, min(budget, int(options.context_tokens * _SUMMARY_SHARE)))
    system = "\n\n".join(part for part in (options.system, "\n".join(summary)) if part)
    messages = [Message("system", system)] if system else []
    for turn in turns:
        messages += [
            Message("user", turn.question),
            Message("assistant", without_marks(turn.answer)),
        ]
    messages.append(Message("user", prompt))
    counts = {
        "passages left out": len(places) - len(shown),
        "turns in short": max(0, len(summary) - 1),
        "turns left out": len(older) - max(0, len(summary) - 1),
    }
    left_out = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    return Context(tuple(messages), tuple(source for source, _ in shown), left_out)


def estimate(text: str) -> int:
    """Returns how many tokens a message may take."""
    return len(text) // _CHARACTERS_PER_TOKEN + _PER_MESSAGE if text else 0


def readable(text: str) -> str:
    """Returns a text without control characters and those that no reader sees."""
    return _UNSEEN.sub("", text)


def _passages(
    question: str, places: Sequence[Source], budget: int
) -> list[tuple[Source, PromptPassage]]:
    budget -= estimate(grounded_prompt(question, []))
    found: list[tuple[Source, PromptPassage]] = []
    for place in places:
        heading = " > ".join(place.heading)
        full = f"{heading}: {place.text}" if heading else place.text
        if not found:  # the best one is shown in any case, cut where it must be
            full = full[: max(200, budget * _CHARACTERS_PER_TOKEN)]
        cost = estimate(full) + estimate(place.title)
        if found and cost > budget:
            break
        budget -= cost
        found.append((place, PromptPassage(place.title, place.page, readable(full))))
    return found


def _summary(older: Sequence[Turn], budget: int) -> list[str]:
    """Returns a line for each old turn that fits, the newest ones, in their order."""
    lines: list[str] = []
    for turn in reversed(older):
        first = next(iter(sentences(without_marks(turn.answer))), "")
        line = f"- {turn.question} {first}"
        if estimate(line) > budget:
            break
        budget -= estimate(line)
        lines.insert(0, line)
    return [_EARLIER, *lines] if lines else []
