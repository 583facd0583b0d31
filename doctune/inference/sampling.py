"""Token sampling for each row: greedy, or by temperature and top-p."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from doctune.inference.options import GenerationOptions

if TYPE_CHECKING:
    import torch


class Sampler:
    """The sampler of one row. With a seed it draws the same tokens in any batch."""

    def __init__(self, options: GenerationOptions, device: Any) -> None:
        import torch
        from transformers import TemperatureLogitsWarper, TopPLogitsWarper

        self._warpers: list[Any] = []
        self._generator: torch.Generator | None = None
        if options.temperature > 0:
            self._warpers.append(TemperatureLogitsWarper(options.temperature))
            if options.top_p < 1:
                self._warpers.append(TopPLogitsWarper(options.top_p))
            if options.seed is not None:
                self._generator = torch.Generator(device=device).manual_seed(options.seed)

    @property
    def greedy(self) -> bool:
        """Whether the likeliest token is taken."""
        return not self._warpers

    def draw(self, logits: torch.Tensor) -> int:
        """Returns a token drawn by its probability.

        Args:
            logits: Those of one row, of shape [vocabulary].
        """
        import torch

        scores = logits.float()[None]
        for warper in self._warpers:
            scores = warper(None, scores)
        return int(torch.multinomial(scores.softmax(dim=-1)[0], 1, generator=self._generator))


def pick_tokens(logits: torch.Tensor, samplers: Sequence[Sampler]) -> list[int]:
    """Returns the next token of each row.

    Args:
        logits: Of shape [rows, vocabulary].
        samplers: One a row.
    """
    likeliest = logits.argmax(dim=-1).tolist()
    return [
        token if sampler.greedy else sampler.draw(line)
        for token, sampler, line in zip(likeliest, samplers, logits, strict=True)
    ]
