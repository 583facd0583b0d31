"""The stage: examples and a base model in, an adapter and a merged model out."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from doctune.digests import digest_file, digest_folder, digest_value
from doctune.errors import DatasetError
from doctune.files import atomic_folder, write_json
from doctune.progress import progress
from doctune.training.base_model import resolve_base_model
from doctune.training.batches import Curriculum, Phase
from doctune.training.checkpoints import CheckpointFolder
from doctune.training.course import TrainingCourse
from doctune.training.curves import write_curves
from doctune.training.events import Events, events_folder
from doctune.training.examples import TokenizedExamples
from doctune.training.loop import Run, train
from doctune.training.machine import Machine, prepare_machine
from doctune.training.network import AnswerNetwork, load_network, load_tokenizer
from doctune.training.options import INCIDENTAL, TrainingOptions
from doctune.training.outputs import (
    TrainingSummary,
    clear_write_failures,
    padding_share,
    run_facts,
    run_record,
    save_model,
)
from doctune.training.token_cache import tokenized_file, tokenized_passages
from doctune.training.workers import Workers, joined_workers

logger = logging.getLogger("doctune.training")


def tune_model(
    train_path: Path,
    validation_path: Path,
    model_dir: Path,
    options: TrainingOptions | None = None,
    *,
    curves_path: Path | None = None,
    should_stop: Callable[[TrainingCourse], bool] | None = None,
) -> TrainingSummary:
    """Trains a LoRA adapter on chat examples and writes `adapter/`, `model/` and `training.json`.

    Run in several processes that the environment joins (`torchrun`, Vertex AI's `CLUSTER_SPEC`),
    they train together, and the first of them writes.

    Args:
        train_path: JSONL with `messages`, to learn from.
        validation_path: JSONL with `messages`, to stop by.
        model_dir: Replaced as a whole when all went well, else left as it was.
        curves_path: Where to write the loss curve as HTML; None for nowhere.
        should_stop: Asked after each validation; true ends the run as if it had stalled.

    Raises:
        DatasetError: A data set is missing, malformed or empty.
        ModelError: The base model cannot be had or does not fit the options.
        TrainingError: The loss is no longer a number, memory or disk is full, another worker is
            lost, or the process was told to end.
    """
    chosen = options or TrainingOptions()
    start = time.monotonic()
    paths = {"train": train_path, "validation": validation_path}
    for path in paths.values():
        if not path.is_file():
            raise DatasetError(f"{path} is missing: prepare the data set first.")
    base = resolve_base_model(chosen.base_model)
    machine = prepare_machine(chosen)
    tokenizer = load_tokenizer(base)
    data = _tokenize(paths, tokenizer, chosen)
    with joined_workers() as workers:
        digests = {name: digest_file(path) for name, path in paths.items()}
        run = _run(base, machine, data, chosen, workers, digests)
        if should_stop is not None:
            run.should_stop = should_stop
        course = train(run)
        run.events.close()
        summary = _summary(course, run, time.monotonic() - start)
        if workers.writes:
            with clear_write_failures(model_dir), atomic_folder(model_dir) as folder:
                save_model(run.network.model, base, tokenizer, chosen, folder)
                record = run_record(summary, course, chosen, machine, data)
                record |= {"base_model_digest": digest_folder(base), "data": digests}
                write_json(folder / "training.json", record)
            if curves_path is not None:
                write_curves(course, curves_path, run_facts(summary, course, chosen, machine))
        workers.wait()
    logger.info(
        "Trained %s steps on %s tokens (%.1f%% of what was computed was padding); "
        "validation loss %.3f -> %.3f",
        *(summary.steps, f"{summary.tokens_trained:,}", 100 * padding_share(course)),
        *(summary.loss_before, summary.loss_after),
    )
    return summary


def _tokenize(
    paths: dict[str, Path], tokenizer: Any, options: TrainingOptions
) -> dict[str, TokenizedExamples]:
    data = {}
    with progress("Tokenizing", len(paths), "files") as bar:
        for name, path in paths.items():
            data[name] = tokenized = tokenized_file(path, tokenizer, options.max_length)
            if tokenized.answers_cut or tokenized.dropped:
                logger.warning(
                    "%s: %s answers were cut and %s examples left out, longer than %s tokens; "
                    "raise training.max_length to keep them whole",
                    *(path.name, tokenized.answers_cut, tokenized.dropped, options.max_length),
                )
            if not tokenized.examples:
                raise DatasetError(
                    f"{path}: no answer fits into {options.max_length} tokens: "
                    "raise training.max_length."
                )
            bar.advance()
    if options.pretraining_epochs:
        data["passages"] = tokenized_passages(paths["train"], tokenizer, options.max_length)
    return data


def _run(
    base: Path,
    machine: Machine,
    data: dict[str, TokenizedExamples],
    options: TrainingOptions,
    workers: Workers,
    digests: dict[str, str],
) -> Run:
    network = AnswerNetwork(load_network(base, machine.dtype), options, machine)
    phases = [Phase(examples=data["train"].examples, epochs=options.num_train_epochs)]
    if "passages" in data:
        first = Phase(examples=data["passages"].examples, epochs=options.pretraining_epochs)
        phases.insert(0, first)
    per_worker = options.per_device_train_batch_size * options.gradient_accumulation_steps
    curriculum = Curriculum(
        phases,
        batch_size=per_worker * workers.count,
        seed=options.seed,
        max_steps=options.max_steps if options.max_steps > 0 else None,
    )
    folder = options.checkpoint_dir or os.environ.get("AIP_CHECKPOINT_DIR", "")
    checkpoints = None
    if folder:
        settings = options.model_dump(exclude=INCIDENTAL)
        fingerprint = digest_value([settings, digests, digest_folder(base), str(machine.dtype)])
        checkpoints = CheckpointFolder(folder, fingerprint, options.checkpoints_kept)
    return Run(
        network=network,
        curriculum=curriculum,
        validation=data["validation"].examples,
        options=options,
        workers=workers,
        checkpoints=checkpoints,
        events=Events(events_folder(options.tensorboard_dir) if workers.writes else ""),
    )


def _summary(course: TrainingCourse, run: Run, seconds: float) -> TrainingSummary:
    weights = hashlib.sha256()
    for weight in run.network.weights:
        weights.update(weight.detach().cpu().numpy().tobytes())
    return TrainingSummary(
        tokens_trained=course.tokens,
        steps=course.steps,
        train_loss=course.recent_loss,
        loss_before=course.loss_before,
        loss_after=course.best_loss,
        stopped_early=course.stopped_early,
        seconds=round(seconds, 3),
        digest=digest_value([weights.hexdigest(), run.options.model_dump(exclude=INCIDENTAL)]),
    )
