"""What one model says on the test set: its answers, and how likely it finds the references.

One model is in memory at a time: it is loaded, asked everything, and let go.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from doctune.evaluation.perplexity import Likelihood, score_answers
from doctune.evaluation.test_set import Example
from doctune.generation import Completion, GenerationOptions, TextGenerator
from doctune.progress import progress


@dataclass(frozen=True, kw_only=True)
class Answers:
    """One model's results, one entry an example, and the seconds that answering took."""

    completions: tuple[Completion, ...]
    likelihoods: tuple[Likelihood, ...]
    generation_seconds: float

    @property
    def texts(self) -> list[str]:
        """The answers' texts."""
        return [completion.text for completion in self.completions]


def answer_test_set(
    name: str,
    folder: Path,
    examples: Sequence[Example],
    *,
    max_new_tokens: int,
    batch_size: int,
) -> Answers:
    """Asks a model every question of the test set, greedily.

    Args:
        name: What to call the model in the progress: "base".
        folder: Safetensors weights, tokenizer and chat template.

    Raises:
        ModelError: The folder does not hold a model that can be loaded.
    """
    generator = TextGenerator.load(folder)
    with progress(f"Scoring the {name} model", len(examples), "examples") as bar:
        likelihoods = score_answers(generator, examples, on_batch=bar.advance)
    started = time.monotonic()
    with progress(f"Answering with the {name} model", len(examples), "examples") as bar:
        completions = generator.generate(
            [example.prompt for example in examples],
            GenerationOptions(max_new_tokens=max_new_tokens),
            batch_size=batch_size,
            on_batch=bar.advance,
        )
    seconds = time.monotonic() - started
    del generator
    gc.collect()
    return Answers(
        completions=tuple(completions),
        likelihoods=tuple(likelihoods),
        generation_seconds=seconds,
    )
