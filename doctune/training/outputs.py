"""The outputs of a run: adapter, merged model, and `training.json`."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from doctune.errors import DoctuneError, ModelError, TrainingError
from doctune.files import text_lines
from doctune.progress import progress
from doctune.publishing import require_whole
from doctune.training.examples import TokenizedExamples
from doctune.training.history import TrainingHistory
from doctune.training.machine import Machine
from doctune.training.network import load_network
from doctune.training.options import TrainingOptions

_LIBRARIES = ("torch", "transformers", "peft", "tokenizers", "safetensors", "doctune")


@dataclass(frozen=True, kw_only=True)
class TrainingSummary:
    """The result of a training run. Losses are mean nats per token of the answers."""

    tokens_trained: int
    steps: int
    train_loss: float
    loss_before: float
    loss_after: float
    answers_before: float  # exact-match share of the validation answers
    answers_after: float
    stopped_early: bool
    seconds: float
    digest: str
    caps: tuple[str, ...] = ()  # which settings limited the data or the steps


def save_model(
    adapted: Any, base: Path, tokenizer: Any, options: TrainingOptions, folder: Path
) -> None:
    """Writes `adapter/` and, with it merged into the base model, `model/`."""
    from peft import PeftModel

    adapted.peft_config["default"].base_model_name_or_path = options.base_model
    adapted.save_pretrained(folder / "adapter")
    (folder / "adapter" / "README.md").unlink(missing_ok=True)
    with progress("Merging the adapter", 2, "parts") as bar:
        # Merged in float32 and stored in the base model's precision, whatever precision trained.
        original: Any = load_network(base, "auto")
        dtype = original.dtype
        merged: Any = PeftModel.from_pretrained(original.float(), folder / "adapter")
        merged = merged.merge_and_unload(safe_merge=True).to(dtype)
        bar.advance()
        merged.save_pretrained(folder / "model")
        tokenizer.save_pretrained(folder / "model")
        bar.advance()


def tuned_weights(model_dir: Path) -> Path:
    """Returns the folder with the merged weights of a tuned model.

    Raises:
        ModelError: `model_dir` is not a complete output of `tune_model`.
    """
    folder = model_dir / "model"
    if not (folder / "config.json").is_file():
        raise ModelError(f"{model_dir} holds no tuned model: give a folder that training wrote.")
    require_whole(model_dir, "train the model again")
    return folder


@contextmanager
def explain_write_errors(folder: Path) -> Iterator[None]:
    """Turns a full disk or a folder that is not writable into one clear line.

    Raises:
        TrainingError: In place of the error that was raised inside.
    """
    try:
        yield
    except DoctuneError:
        raise
    except Exception as error:
        # safetensors wraps the error of a full disk in its own, which has only the message.
        full = getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error)
        if not full and not isinstance(error, OSError):
            raise
        reason = "the disk is full; make room" if full else " ".join(str(error).split())
        raise TrainingError(f"The model cannot be written to {folder}: {reason}.") from error


def prompt_version_of(train_path: Path) -> int | None:
    """Returns the version of the grounded prompt that was learnt; None for closed-book examples."""
    found = (json.loads(line).get("prompt_version") for _, line in text_lines(train_path))
    return max((version for version in found if version is not None), default=None)


def run_record(
    summary: TrainingSummary,
    history: TrainingHistory,
    options: TrainingOptions,
    machine: Machine,
    data: dict[str, TokenizedExamples],
) -> dict[str, Any]:
    """Returns the content of `training.json`: what reproduces the run, and its history."""
    return {
        "base_model": options.base_model,
        "options": options.model_dump(),
        "machine": machine.description,
        "libraries": {name: version(name) for name in _LIBRARIES},
        **asdict(summary),
        "taught_tokens": history.taught_tokens,
        "computed_tokens": history.computed_tokens,
        "padding_share": padding_share(history),
        "best_step": history.best_step,
        "examples": {
            name: {
                "used": len(part.examples),
                "answers_cut": part.answers_cut,
                "dropped": part.dropped,
                "tokens": part.tokens,
            }
            for name, part in data.items()
        },
        "curve": {
            "train": history.train_losses,
            "validation": [
                {"step": step, "loss": loss, "answers": share}
                for (step, loss), share in zip(history.validations, history.answers, strict=True)
            ],
        },
    }


def padding_share(history: TrainingHistory) -> float:
    """Returns the share of the computed tokens that were padding, 0 to 1."""
    return history.padding_tokens / max(1, history.computed_tokens)


def run_facts(
    summary: TrainingSummary, history: TrainingHistory, options: TrainingOptions, machine: Machine
) -> dict[str, str]:
    """Returns the facts that are shown below the loss curve."""
    return {
        "Base model": options.base_model,
        "Steps": f"{summary.steps}{' (stopped early)' if summary.stopped_early else ''}",
        "Tokens trained": f"{summary.tokens_trained:,}",
        "Tokens computed (common prefixes once)": f"{history.computed_tokens:,}",
        "Padding share": f"{padding_share(history):.1%}",
        "Validation loss before": f"{summary.loss_before:.4f}",
        "Validation loss after": f"{summary.loss_after:.4f}",
        "Validation exact match before": f"{summary.answers_before:.1%}",
        "Validation exact match after": f"{summary.answers_after:.1%}",
        "Learning rate": f"{options.learning_rate:g}",
        "LoRA rank": str(options.lora_r),
        "Machine": machine.description,
    }
