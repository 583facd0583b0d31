"""How an answer is decoded."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class GenerationOptions:
    """How to decode. `temperature` 0 is greedy. With a seed, an answer is the same in any batch."""

    max_new_tokens: int = 128
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
