"""The prompt for a model: system message, summary of old turns, recent turns, passages.

The passages come first by right, since an answer stands on them; then the last turns, then what is
older: in a model's summary where there is one, else by one sentence of each turn. The model's own
tokenizer counts where it is at hand; else tokens are estimated.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from doctune.agent.citing import without_marks
from doctune.agent.followups import Turn
from doctune.agent.messages import Message
from doctune.agent.model_facts import UNKNOWN, ModelFacts
from doctune.agent.options import AgentOptions
from doctune.dataset.text import sentences
from doctune.knowledge import Source
from doctune.knowledge.prompt import PromptPassage, grounded_prompt

_PER_MESSAGE = 8  # tokens that a chat template puts around a message
_LEAST_CHARACTERS = 200  # of the best passage, which is shown in any case
_PASSAGES_SHARE = 0.7  # of the budget, that passages may take before turns are counted
_SUMMARY_SHARE = 0.15
_EARLIER = "Earlier in this conversation:"
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")


@dataclass(frozen=True, slots=True)
class Context:
    """The messages for the model, and what was left out.

    Attributes:
        shown: The passages in the prompt, in order.
        left_out: A description for the log; "" if everything fits.
    """

    messages: tuple[Message, ...]
    shown: tuple[Source, ...]
    left_out: str


@dataclass(frozen=True, slots=True)
class Summary:
    """A model's summary of the first turns of a conversation, and their number."""

    text: str
    turns: int


NO_SUMMARY = Summary("", 0)


def build_context(
    question: str,
    places: Sequence[Source],
    earlier: Sequence[Turn],
    options: AgentOptions,
    model: ModelFacts = UNKNOWN,
    summary: Summary = NO_SUMMARY,
) -> Context:
    """Builds the messages within `options.context_tokens` and the model's context length.

    Args:
        summary: Replaces the turns it covers if they are not shown in full.
    """
    most = options.context_tokens
    if model.context_tokens is not None:
        most = min(most, model.context_tokens - options.answer_tokens)
    budget = most - message_tokens(options.system, model)
    shown = _passages(question, places, int(budget * _PASSAGES_SHARE), model)
    prompt = grounded_prompt(question, [passage for _, passage in shown])
    budget -= message_tokens(prompt, model)
    turns: list[Turn] = []
    for turn in list(reversed(earlier))[: options.turns]:
        cost = message_tokens(turn.question, model) + message_tokens(turn.answer, model)
        if cost > budget:
            break
        budget -= cost
        turns.insert(0, turn)
    older = earlier[: len(earlier) - len(turns)]
    short = _in_short(older, min(budget, int(most * _SUMMARY_SHARE)), model, summary)
    system = "\n\n".join(part for part in (options.system, "\n".join(short.lines)) if part)
    messages = [Message("system", system)] if system else []
    for turn in turns:
        messages += [
            Message("user", turn.question),
            Message("assistant", without_marks(turn.answer)),
        ]
    messages.append(Message("user", prompt))
    counts = {
        "passages left out": len(places) - len(shown),
        "turns in short": short.turns,
        "turns left out": len(older) - short.turns,
    }
    left_out = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    return Context(tuple(messages), tuple(source for source, _ in shown), left_out)


def message_tokens(text: str, model: ModelFacts = UNKNOWN) -> int:
    """Returns the number of tokens of a message, including what the chat template adds."""
    return model.count(text) + _PER_MESSAGE if text else 0


def readable(text: str) -> str:
    """Removes control characters and invisible characters from a text."""
    return _UNSEEN.sub("", text)


def _passages(
    question: str, places: Sequence[Source], budget: int, model: ModelFacts
) -> list[tuple[Source, PromptPassage]]:
    budget -= message_tokens(grounded_prompt(question, []), model)
    found: list[tuple[Source, PromptPassage]] = []
    for place in places:
        heading = " > ".join(place.heading)
        full = f"{heading}: {place.text}" if heading else place.text
        if not found:  # the best one is shown in any case, cut where it must be
            full = _cut(full, budget - message_tokens(place.title, model), model)
        cost = message_tokens(full, model) + message_tokens(place.title, model)
        if found and cost > budget:
            break
        budget -= cost
        found.append((place, PromptPassage(place.title, place.page, readable(full))))
    return found


def _cut(text: str, budget: int, model: ModelFacts) -> str:
    """Truncates a text to the budget, but never below a minimum length."""
    while len(text) > _LEAST_CHARACTERS and (needed := message_tokens(text, model)) > budget:
        share = max(0.1, min(0.95, budget / needed))
        text = text[: max(_LEAST_CHARACTERS, int(len(text) * share))]
    return text


@dataclass(frozen=True, slots=True)
class _Short:
    """Condensed old turns: the lines for the prompt, and the number of turns they cover."""

    lines: tuple[str, ...] = ()
    turns: int = 0


def _in_short(older: Sequence[Turn], budget: int, model: ModelFacts, summary: Summary) -> _Short:
    """Returns the summary, then one line for each newer turn, as many as fit."""
    lines: list[str] = []
    summarised = 0
    if summary.text and summary.turns <= len(older):
        cost = message_tokens(summary.text, model)
        if cost <= budget:
            budget -= cost
            summarised = summary.turns
    for turn in reversed(older[summarised:]):
        first = next(iter(sentences(without_marks(turn.answer))), "")
        line = f"- {turn.question} {first}"
        cost = message_tokens(line, model)
        if cost > budget:
            break
        budget -= cost
        lines.insert(0, line)
    turns = summarised + len(lines)
    if summarised:
        lines.insert(0, summary.text)
    return _Short((_EARLIER, *lines), turns) if lines else _Short()
