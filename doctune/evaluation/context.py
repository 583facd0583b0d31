"""Prompts that leave room for their answer in the model's context.

Past its context a model answers at random, without an error. A prompt that is too long gives up its
earlier turns first, then the start of the user's last message: the template stays whole, and what
is asked stands at the end.
"""

from __future__ import annotations

from collections.abc import Sequence

from doctune.errors import EvaluationError
from doctune.evaluation.test_set import Message
from doctune.inference.generation import TextGenerator

_NO_LIMIT = 1 << 30  # what tokenizers and configurations write for "none"
_ATTEMPTS = 8


def context_of(generator: TextGenerator) -> int | None:
    """Returns how many tokens prompt and answer may have together; None for no limit."""
    config = generator.model.config.get_text_config()
    limit = getattr(config, "max_position_embeddings", None)
    return limit if limit and limit < _NO_LIMIT else None


def fit_prompt(
    generator: TextGenerator, prompt: Sequence[Message], room: int
) -> tuple[Message, ...]:
    """Returns the prompt, shortened where less than `room` tokens would be left for the answer.

    Raises:
        EvaluationError: The context leaves no room for any question.
    """
    limit = context_of(generator)
    kept = tuple(prompt)
    if limit is None:
        return kept
    over = len(generator.encode(kept)) + room - limit
    if over <= 0:
        return kept
    system = tuple(message for message in kept[:-1] if message["role"] == "system")
    kept = (*system, kept[-1])
    for _ in range(_ATTEMPTS):
        over = len(generator.encode(kept)) + room - limit
        if over <= 0:
            return kept
        ids = generator.tokenizer(kept[-1]["content"], add_special_tokens=False)["input_ids"]
        if over >= len(ids):
            break
        text = generator.tokenizer.decode(ids[over:], skip_special_tokens=True)
        kept = (*system, {**kept[-1], "content": text.lstrip("\ufffd")})
    raise EvaluationError(
        f"An answer of {room} tokens leaves no room for its question in the model's context of "
        f"{limit}: lower evaluation.max_new_tokens."
    )
