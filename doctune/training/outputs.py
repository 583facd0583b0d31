"""What a run leaves behind: adapter, merged model, and the record of how it was made."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from doctune.errors import DoctuneError, TrainingError
from doctune.progress import progress
from doctune.training.course import TrainingCourse
from doctune.training.examples import TokenizedExamples
from doctune.training.machine import Machine
from doctune.training.network import load_network
from doctune.training.options import TrainingOptions

_LIBRARIES = ("torch", "transformers", "peft", "tokenizers", "safetensors", "doctune")


@dataclass(frozen=True, kw_only=True)
class TrainingSummary:
    """What a training run did. Losses are mean nats a token, of the answers only."""

    tokens_trained: int
    steps: int
    train_loss: float
    loss_before: float
    loss_after: float
    answers_before: float  # share of the validation answers that are right word for word
    answers_after: float
    stopped_early: bool
    seconds: float
    digest: str
    caps: tuple[str, ...] = ()  # what a setting made smaller than it could be


def save_model(
    adapted: Any, base: Path, tokenizer: Any, options: TrainingOptions, folder: Path
) -> None:
    """Writes `adapter/` and, with it merged into the base model, `model/`."""
    from peft import PeftModel

    adapted.peft_config["default"].base_model_name_or_path = options.base_model
    adapted.save_pretrained(folder / "adapter")
    (folder / "adapter" / "README.md").unlink(missing_ok=True)
    with progress("Merging the adapter", 2, "parts") as bar:
        # Merged in float32, whatever precision trained, and stored in the base model's own.
        original: Any = load_network(base, "auto")
        dtype = original.dtype
        merged: Any = PeftModel.from_pretrained(original.float(), folder / "adapter")
        merged = merged.merge_and_unload(safe_merge=True).to(dtype)
        bar.advance()
        merged.save_pretrained(folder / "model")
        tokenizer.save_pretrained(folder / "model")
        bar.advance()


@contextmanager
def clear_write_failures(folder: Path) -> Iterator[None]:
    """Turns a full disk or a folder that refuses into one clear line.

    Raises:
        TrainingError: Instead of what was raised inside.
    """
    try:
        yield
    except DoctuneError:
        raise
    except Exception as error:
        # safetensors reports a full disk as its own error, with the system's words in it.
        full = getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error)
        if not full and not isinstance(error, OSError):
            raise
        reason = "the disk is full; make room" if full else " ".join(str(error).split())
        raise TrainingError(f"The model cannot be written to {folder}: {reason}.") from error


def run_record(
    summary: TrainingSummary,
    course: TrainingCourse,
    options: TrainingOptions,
    machine: Machine,
    data: dict[str, TokenizedExamples],
) -> dict[str, Any]:
    """Returns what `training.json` says: all that is needed to repeat the run, and its course."""
    return {
        "base_model": options.base_model,
        "options": options.model_dump(),
        "machine": machine.description,
        "libraries": {name: version(name) for name in _LIBRARIES},
        **asdict(summary),
        "taught_tokens": course.taught_tokens,
        "computed_tokens": course.computed_tokens,
        "padding_share": padding_share(course),
        "best_step": course.best_step,
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
            "train": course.train_losses,
            "validation": [
                {"step": step, "loss": loss, "answers": share}
                for (step, loss), share in zip(course.validations, course.answers, strict=True)
            ],
        },
    }


def padding_share(course: TrainingCourse) -> float:
    """Returns the share of the computed tokens that were padding, 0 to 1."""
    return course.padding_tokens / max(1, course.computed_tokens)


def run_facts(
    summary: TrainingSummary, course: TrainingCourse, options: TrainingOptions, machine: Machine
) -> dict[str, str]:
    """Returns what stands under the loss curve."""
    return {
        "Base model": options.base_model,
        "Steps": f"{summary.steps}{' (stopped early)' if summary.stopped_early else ''}",
        "Tokens trained": f"{summary.tokens_trained:,}",
        "Of these computed (a shared start once)": f"{course.computed_tokens:,}",
        "Share of padding": f"{padding_share(course):.1%}",
        "Validation loss before": f"{summary.loss_before:.4f}",
        "Validation loss after": f"{summary.loss_after:.4f}",
        "Validation answers right, before": f"{summary.answers_before:.1%}",
        "Validation answers right, after": f"{summary.answers_after:.1%}",
        "Learning rate": f"{options.learning_rate:g}",
        "LoRA rank": str(options.lora_r),
        "Machine": machine.description,
    }
