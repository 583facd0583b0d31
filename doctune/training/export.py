"""Exports a tuned model in other formats, and measures what quantization costs in quality.

- `safetensors`: the merged model, unchanged.
- `int8`: LLM.int8 by bitsandbytes, for servers on CPUs (a quarter of float32's size).
- `nf4`: 4-bit NormalFloat by bitsandbytes, for servers on GPUs (runs on CPUs, slowly).
- `w8a8`, `fp8`: 8 bits by llm-compressor, for vLLM on GPUs; in an environment of its own.
- `gguf`: Q8_0 by the `gguf` package, for llama.cpp and compatible servers; Llama models only.
"""

from __future__ import annotations

import logging
import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from doctune.errors import DatasetError, ModelError, TrainingError
from doctune.files import write_json
from doctune.inference.gguf_file import GGUF_FILE, write_gguf
from doctune.progress import progress
from doctune.publishing import published_folder
from doctune.training.compressed import require_llm_compressor, write_compressed
from doctune.training.examples import Example
from doctune.training.network import load_network, load_tokenizer, require_bitsandbytes
from doctune.training.outputs import explain_write_errors, tuned_weights
from doctune.training.token_cache import tokenized_file

ExportFormat = Literal["safetensors", "int8", "nf4", "w8a8", "fp8", "gguf"]

_MAX_EXAMPLES, _MAX_LENGTH, _NEW_TOKENS = 64, 1024, 24

logger = logging.getLogger("doctune.training")


@dataclass(frozen=True, kw_only=True)
class Quality:
    """Size, quality and speed of a model."""

    bytes: int  # of its weights on disk
    perplexity: float  # of the answers, by the model's own tokens
    tokens_per_second: float  # generated, one conversation at a time, on this machine


@dataclass(frozen=True, kw_only=True)
class ExportSummary:
    """An export, measured against the model it was made from."""

    format: str
    before: Quality
    after: Quality
    perplexity_increase: float  # relative: 0.02 is 2% worse


def export_model(
    model_dir: Path,
    out_dir: Path,
    export_format: ExportFormat,
    examples_path: Path,
    *,
    max_perplexity_increase: float = 0.05,
) -> ExportSummary:
    """Writes a tuned model in another format, with `export.json` beside it.

    Args:
        model_dir: A folder that `tune_model` wrote.
        out_dir: Replaced atomically if the export is good enough; the manifest is written last.
        examples_path: JSONL with `messages` to measure quality on; at most 64 are used.
        max_perplexity_increase: The largest relative increase of perplexity that is accepted.

    Raises:
        ModelError: There is no tuned model, or the format does not fit its architecture.
        TrainingError: The library is missing, the disk is full, or too much quality is lost.
    """
    require_llm_compressor(export_format)
    source = tuned_weights(model_dir)
    tokenizer = load_tokenizer(source)
    examples = tokenized_file(examples_path, tokenizer, _MAX_LENGTH).examples[:_MAX_EXAMPLES]
    if not examples:
        raise DatasetError(f"{examples_path}: no answer fits into {_MAX_LENGTH} tokens.")
    with (
        progress(f"Exporting {export_format}", 3, "parts") as bar,
        explain_write_errors(out_dir),
        published_folder(out_dir) as folder,
    ):
        before = _measure(load_network(source, "auto").float().to(_device()), source, examples)
        bar.advance(note="original measured")
        tokenizer.save_pretrained(folder)
        _WRITERS[export_format](source, folder)
        bar.advance(note="written")
        after = _measure(load_export(folder), folder, examples)
        bar.advance(note="export measured")
        summary = _accepted(export_format, before, after, max_perplexity_increase)
        write_json(folder / "export.json", asdict(summary))
    logger.info(
        "Exported %s: %.0f MB (was %.0f), perplexity %.3f (was %.3f), %.1f tokens/s (was %.1f)",
        *(export_format, after.bytes / 1e6, before.bytes / 1e6),
        *(after.perplexity, before.perplexity, after.tokens_per_second, before.tokens_per_second),
    )
    return summary


def _accepted(
    export_format: ExportFormat, before: Quality, after: Quality, most: float
) -> ExportSummary:
    """Returns the summary of an export, unless its perplexity has increased by more than `most`."""
    increase = after.perplexity / before.perplexity - 1
    if not increase <= most:
        raise TrainingError(
            f"The {export_format} export is refused: its perplexity is {after.perplexity:.3f}, "
            f"{increase:.1%} above the model's {before.perplexity:.3f}; at most {most:.1%} is "
            "accepted (max_perplexity_increase)."
        )
    return ExportSummary(
        format=export_format, before=before, after=after, perplexity_increase=increase
    )


def load_export(folder: Path) -> Any:
    """Returns the model of an exported folder, ready to generate.

    Raises:
        ModelError: There is none that can be loaded.
    """
    import torch
    from transformers import AutoModelForCausalLM

    options: dict[str, Any] = {"device_map": {"": _device()}}
    if (folder / GGUF_FILE).is_file():
        options |= {"gguf_file": GGUF_FILE, "dtype": torch.float32}
    try:
        return AutoModelForCausalLM.from_pretrained(folder, **options).eval()
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise ModelError(f"{folder} holds no export that can be loaded: {reason}.") from error


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _measure(model: Any, folder: Path, examples: Sequence[Example]) -> Quality:
    import torch

    weights = [*folder.glob("*.safetensors"), *folder.glob("*.gguf")]
    total, count = 0.0, 0
    with torch.inference_mode():
        for example in examples:
            ids = torch.tensor([example.input_ids], device=model.device)
            logits = model(input_ids=ids, use_cache=False).logits[0, :-1].float()
            losses = torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="none")
            taught = torch.tensor(example.taught[1:], device=model.device)
            total += losses[taught].sum().item()
            count += int(taught.sum())
        generated, start = 0, time.perf_counter()
        for example in examples[:4]:
            prompt = example.input_ids[: example.taught.index(True, 1)]
            ids = torch.tensor([prompt], device=model.device)
            output = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=_NEW_TOKENS,
                min_new_tokens=_NEW_TOKENS,
                do_sample=False,
            )
            generated += output.shape[1] - ids.shape[1]
        speed = generated / (time.perf_counter() - start)
    return Quality(
        bytes=sum(path.stat().st_size for path in weights),
        perplexity=math.exp(total / count),
        tokens_per_second=round(speed, 2),
    )


def _write_safetensors(source: Path, folder: Path) -> None:
    for path in source.iterdir():
        shutil.copy2(path, folder / path.name)


def _write_int8(source: Path, folder: Path) -> None:
    _quantize(source, folder, load_in_8bit=True)


def _write_nf4(source: Path, folder: Path) -> None:
    import torch

    cuda = torch.cuda.is_available()
    _quantize(
        source,
        folder,
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=torch.bfloat16 if cuda else torch.float32,
    )


def _quantize(source: Path, folder: Path, **settings: Any) -> None:
    import torch

    require_bitsandbytes()
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    device = _device()
    model: Any = AutoModelForCausalLM.from_pretrained(
        source,
        quantization_config=BitsAndBytesConfig(**settings),
        device_map={"": device},
        dtype=torch.float32 if device == "cpu" else torch.bfloat16,
    )
    model.save_pretrained(folder)


def _write_w8a8(source: Path, folder: Path) -> None:
    write_compressed(source, folder, "w8a8")


def _write_fp8(source: Path, folder: Path) -> None:
    write_compressed(source, folder, "fp8")


def _write_gguf(source: Path, folder: Path) -> None:
    write_gguf(source, folder / GGUF_FILE, load_tokenizer(source))
    shutil.copy2(source / "config.json", folder / "config.json")


_WRITERS: dict[str, Callable[[Path, Path], None]] = {
    "safetensors": _write_safetensors,
    "int8": _write_int8,
    "nf4": _write_nf4,
    "w8a8": _write_w8a8,
    "fp8": _write_fp8,
    "gguf": _write_gguf,
}
