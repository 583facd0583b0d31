"""Shortens prompts so that the answer fits into the model's context.

Beyond its context length a model answers at random, without an error. A prompt that is too long
loses its earlier turns first, then the start of the user's last message: the template stays intact,
and the question is at the end.
"""

from __future__ import annotations

from collections.abc import Sequence

from doctune.errors import EvaluationError
from doctune.evaluation.test_set import Message
from doctune.inference.generation import TextGenerator

_NO_LIMIT = 1 << 30  # tokenizers and configurations have larger numbers for "no limit"
_ATTEMPTS = 8


def context_of(generator: TextGenerator) -> int | None:
    """Returns the context length for prompt and answer in tokens; None for no limit."""
    config = generator.model.config.get_text_config()
    limit = getattr(config, "max_position_embeddings", None)
    return limit if limit and limit < _NO_LIMIT else None


def fit_prompt(
    generator: TextGenerator, prompt: Sequence[Message], room: int
) -> tuple[Message, ...]:
    """Returns the prompt, shortened so that `room` tokens are left for the answer.

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
