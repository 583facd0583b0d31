"""The stage: examples and a base model in, an adapter and a merged model out."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from doctune.digests import digest_file, digest_folder, digest_value
from doctune.errors import DatasetError, DoctuneError, TrainingError
from doctune.files import atomic_folder, write_json
from doctune.progress import progress
from doctune.training.base_model import resolve_base_model
from doctune.training.curves import write_curves
from doctune.training.examples import (
    TokenizedExamples,
    read_conversations,
    tokenize_conversations,
)
from doctune.training.loop import TrainingCourse, train
from doctune.training.machine import Machine, prepare_machine
from doctune.training.network import AnswerNetwork, load_network, load_tokenizer
from doctune.training.options import TrainingOptions

logger = logging.getLogger("doctune.training")

_LIBRARIES = ("torch", "transformers", "peft", "tokenizers", "safetensors", "doctune")


@dataclass(frozen=True, kw_only=True)
class TrainingSummary:
    """What a training run did. Losses are mean nats a token, of the answers only."""

    tokens_trained: int
    steps: int
    train_loss: float
    loss_before: float
    loss_after: float
    stopped_early: bool
    seconds: float
    digest: str


def tune_model(
    train_path: Path,
    validation_path: Path,
    model_dir: Path,
    options: TrainingOptions | None = None,
    *,
    curves_path: Path | None = None,
) -> TrainingSummary:
    """Trains a LoRA adapter on chat examples and writes `adapter/`, `model/` and `training.json`.

    Args:
        train_path: JSONL with `messages`, to learn from.
        validation_path: JSONL with `messages`, to stop by.
        model_dir: Replaced as a whole when all went well, else left as it was.
        curves_path: Where to write the loss curve as HTML; None for nowhere.

    Raises:
        DatasetError: A data set is missing, malformed or empty.
        ModelError: The base model cannot be had or does not fit the options.
        TrainingError: The loss is no longer a number, or the disk is full.
    """
    chosen = options or TrainingOptions()
    start = time.monotonic()
    conversations = [read_conversations(path) for path in (train_path, validation_path)]
    base = resolve_base_model(chosen.base_model)
    machine = prepare_machine(chosen)
    tokenizer = load_tokenizer(base)
    with progress("Tokenizing", sum(map(len, conversations)), "examples") as bar:
        training, validation = (
            _tokenize(rows, path, tokenizer, chosen)
            for rows, path in zip(conversations, (train_path, validation_path), strict=True)
        )
        bar.advance(sum(map(len, conversations)))
    network = AnswerNetwork(load_network(base, machine.dtype), chosen, machine)
    course = train(network, training.examples, validation.examples, chosen)
    with _clear_failures(model_dir), atomic_folder(model_dir) as folder:
        _save(network.model, base, tokenizer, chosen, folder)
        summary = TrainingSummary(
            tokens_trained=course.tokens,
            steps=course.steps,
            train_loss=_last_loss(course),
            loss_before=course.loss_before,
            loss_after=course.best_loss,
            stopped_early=course.stopped_early,
            seconds=round(time.monotonic() - start, 3),
            digest=digest_value([digest_folder(folder / "adapter"), chosen.model_dump()]),
        )
        data = {"train": digest_file(train_path), "validation": digest_file(validation_path)}
        record = {
            **_record(summary, course, chosen, machine, training, validation),
            "base_model_digest": digest_folder(base),
            "data": data,
        }
        write_json(folder / "training.json", record)
    if curves_path is not None:
        write_curves(course, curves_path, _facts(summary, chosen, machine))
    logger.info(
        "Trained %s steps on %s tokens; validation loss %.3f -> %.3f",
        *(summary.steps, f"{summary.tokens_trained:,}", summary.loss_before, summary.loss_after),
    )
    return summary


def _tokenize(
    rows: list[list[dict[str, str]]], path: Path, tokenizer: Any, options: TrainingOptions
) -> TokenizedExamples:
    tokenized = tokenize_conversations(rows, tokenizer, options.max_length)
    if tokenized.answers_cut or tokenized.dropped:
        logger.warning(
            "%s: %s answers were cut and %s examples left out, longer than %s tokens; "
            "raise training.max_length to keep them whole",
            *(path.name, tokenized.answers_cut, tokenized.dropped, options.max_length),
        )
    if not tokenized.examples:
        raise DatasetError(
            f"{path}: no answer fits into {options.max_length} tokens: raise training.max_length."
        )
    return tokenized


def _save(network: Any, base: Path, tokenizer: Any, options: TrainingOptions, folder: Path) -> None:
    from peft import PeftModel

    network.peft_config["default"].base_model_name_or_path = options.base_model
    network.save_pretrained(folder / "adapter")
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
def _clear_failures(model_dir: Path) -> Iterator[None]:
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
        raise TrainingError(f"The model cannot be written to {model_dir}: {reason}.") from error


def _last_loss(course: TrainingCourse) -> float:
    recent = course.train_losses[-10:]
    return sum(recent) / len(recent)


def _record(
    summary: TrainingSummary,
    course: TrainingCourse,
    options: TrainingOptions,
    machine: Machine,
    training: TokenizedExamples,
    validation: TokenizedExamples,
) -> dict[str, Any]:
    return {
        "base_model": options.base_model,
        "options": options.model_dump(),
        "machine": machine.description,
        "libraries": {name: version(name) for name in _LIBRARIES},
        **asdict(summary),
        "taught_tokens": course.taught_tokens,
        "best_step": course.best_step,
        "examples": {
            name: {
                "used": len(part.examples),
                "answers_cut": part.answers_cut,
                "dropped": part.dropped,
                "tokens": part.tokens,
            }
            for name, part in (("train", training), ("validation", validation))
        },
        "curve": {
            "train": course.train_losses,
            "validation": [{"step": s, "loss": loss} for s, loss in course.validations],
        },
    }


def _facts(summary: TrainingSummary, options: TrainingOptions, machine: Machine) -> dict[str, str]:
    return {
        "Base model": options.base_model,
        "Steps": f"{summary.steps}{' (stopped early)' if summary.stopped_early else ''}",
        "Tokens trained": f"{summary.tokens_trained:,}",
        "Validation loss before": f"{summary.loss_before:.4f}",
        "Validation loss after": f"{summary.loss_after:.4f}",
        "Learning rate": f"{options.learning_rate:g}",
        "LoRA rank": str(options.lora_r),
        "Machine": machine.description,
    }
