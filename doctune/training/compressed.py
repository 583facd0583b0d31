"""Exports in 8 bits as compressed-tensors for vLLM: W8A8 (int8) and FP8, by llm-compressor.

Both need no data: weights are rounded a channel at a time, activations while the model answers.
llm-compressor pins an older transformers than the rest of doctune, so it has an environment of its
own: containers/training/compression.Dockerfile.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, Literal, get_args

from doctune.errors import TrainingError

CompressedFormat = Literal["w8a8", "fp8"]

_SCHEMES: dict[CompressedFormat, str] = {"w8a8": "W8A8", "fp8": "FP8_DYNAMIC"}
# The head turns what little it is given wrong into other words, and saves little.
_KEPT_WHOLE = ["lm_head"]


def compressed_formats() -> tuple[str, ...]:
    """Returns the formats that need llm-compressor."""
    return get_args(CompressedFormat)


def require_llm_compressor(export_format: str) -> None:
    """Checks for what a format needs, before anything is loaded.

    Raises:
        TrainingError: llm-compressor is not installed here.
    """
    if export_format in compressed_formats() and importlib.util.find_spec("llmcompressor") is None:
        raise TrainingError(
            f"The format {export_format} needs llm-compressor, which is not installed here: run "
            "this in an environment with `pip install llmcompressor` (docs/training.md)."
        )


def write_compressed(source: Path, folder: Path, export_format: CompressedFormat) -> None:
    """Writes a model's weights in 8 bits."""
    from llmcompressor import oneshot
    from llmcompressor.modifiers.quantization import QuantizationModifier
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(source, dtype="auto")
    recipe = QuantizationModifier(
        targets="Linear", scheme=_SCHEMES[export_format], ignore=_KEPT_WHOLE
    )
    oneshot(model=model, recipe=recipe)
    model.save_pretrained(folder)
