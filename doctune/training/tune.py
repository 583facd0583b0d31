"""The training stage: from examples and a base model to an adapter and a merged model."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from doctune.digests import digest_file, digest_folder, digest_value
from doctune.errors import DatasetError
from doctune.files import write_json
from doctune.inference.base_model import resolve_base_model
from doctune.progress import progress
from doctune.publishing import published_folder
from doctune.training.batches import Curriculum, Phase
from doctune.training.checkpoints import CheckpointFolder
from doctune.training.curves import write_curves
from doctune.training.events import Events
from doctune.training.examples import TokenizedExamples
from doctune.training.history import TrainingHistory
from doctune.training.loop import Run, train
from doctune.training.machine import prepare_machine
from doctune.training.network import AnswerNetwork, load_network, load_tokenizer
from doctune.training.options import INCIDENTAL, TrainingOptions
from doctune.training.outputs import (
    TrainingSummary,
    explain_write_errors,
    padding_share,
    prompt_version_of,
    run_facts,
    run_record,
    save_model,
)
from doctune.training.sharding import shard_frozen_weights
from doctune.training.token_cache import tokenized_file, tokenized_passages
from doctune.training.workers import Workers, joined_workers
from doctune.training_hashes import TRAINING_HASHES_FILE, write_training_hashes
from doctune.vertex_environment import checkpoint_folder, tensorboard_folder

logger = logging.getLogger("doctune.training")

# Part of a run's fingerprint: raise it when the content of checkpoints changes its meaning.
_CHECKPOINT_FORM = 3


def tune_model(
    train_path: Path,
    validation_path: Path,
    model_dir: Path,
    options: TrainingOptions | None = None,
    *,
    curves_path: Path | None = None,
    caps: Sequence[str] = (),
) -> TrainingSummary:
    """Trains a LoRA adapter on chat examples and writes `adapter/`, `model/` and `training.json`.

    Several processes that the environment connects (`torchrun`, Vertex AI's `CLUSTER_SPEC`) train
    together, and the first of them writes.

    Args:
        train_path: JSONL with `messages` to train on.
        validation_path: JSONL with `messages` for validation and early stopping.
        model_dir: Replaced atomically on success; the manifest is written last.
        curves_path: Where to write the loss curve as HTML; None writes no file.
        caps: Limits that left out part of the data, to be recorded with the model.

    Raises:
        DatasetError: A data set is missing, malformed or empty.
        ModelError: The base model cannot be loaded or does not fit the options.
        TrainingError: The loss is no longer finite, memory or disk is full, another worker is
            lost, or the process got SIGTERM.
    """
    chosen = options or TrainingOptions()
    start = time.monotonic()
    stage = _Stage(train_path, validation_path, chosen)
    with joined_workers() as workers:
        run = stage.run(workers)
        history = train(run)
        run.events.close()
        summary = _summary(history, run, time.monotonic() - start, caps)
        if workers.is_main:
            _write_model(stage, run, summary, train_path, model_dir)
            if curves_path is not None:
                facts = run_facts(summary, history, chosen, stage.machine)
                write_curves(history, curves_path, facts)
            if run.checkpoints is not None:
                run.checkpoints.remove()
        workers.barrier()
    logger.info(
        "Trained %s steps on %s tokens (%.1f%% of the computed tokens were padding); "
        "validation loss %.3f -> %.3f",
        *(summary.steps, f"{summary.tokens_trained:,}", 100 * padding_share(history)),
        *(summary.loss_before, summary.loss_after),
    )
    return summary


def _write_model(
    stage: _Stage, run: Run, summary: TrainingSummary, train_path: Path, model_dir: Path
) -> None:
    options = run.options
    with explain_write_errors(model_dir), published_folder(model_dir) as folder:
        save_model(run.network.model, stage.base, stage.tokenizer, options, folder)
        record = run_record(summary, run.history, options, stage.machine, stage.data)
        record |= {"base_model_digest": digest_folder(stage.base), "data": stage.digests}
        record["prompt_version"] = prompt_version_of(train_path)
        write_json(folder / "training.json", record)
        write_training_hashes(train_path, folder / TRAINING_HASHES_FILE)


def train_adapter(
    train_path: Path,
    validation_path: Path,
    options: TrainingOptions,
    should_stop: Callable[[TrainingHistory], bool],
) -> TrainingHistory:
    """As `tune_model`, without outputs: a trial of a search.

    Args:
        should_stop: Called after each validation, including the last; true ends the run.

    Raises:
        DatasetError, ModelError, TrainingError: As `tune_model`.
    """
    run = _Stage(train_path, validation_path, options).run(Workers())
    run.should_stop = should_stop
    return train(run)


class _Stage:
    """The inputs of a run: base model, machine, tokenised data."""

    def __init__(self, train_path: Path, validation_path: Path, options: TrainingOptions) -> None:
        self.options = options
        paths = {"train": train_path, "validation": validation_path}
        for path in paths.values():
            if not path.is_file():
                raise DatasetError(f"{path} is missing: prepare the data set first.")
        self.digests = {name: digest_file(path) for name, path in paths.items()}
        self.base = resolve_base_model(options.base_model)
        self.machine = prepare_machine(options)
        self.tokenizer: Any = load_tokenizer(self.base)
        self.data = _tokenize(paths, self.tokenizer, options)

    def run(self, workers: Workers) -> Run:
        """Returns a run that is ready to start, with a freshly loaded network."""
        options = self.options
        base = load_network(self.base, self.machine.dtype, in_4bit=options.load_in_4bit)
        network = AnswerNetwork(base, options, self.machine)
        if options.fsdp and workers.count > 1:
            shard_frozen_weights(network.model, self.machine.device)
        phases = [Phase(examples=self.data["train"].examples, epochs=options.num_train_epochs)]
        if "passages" in self.data:
            passages = self.data["passages"].examples
            phases.insert(0, Phase(examples=passages, epochs=options.pretraining_epochs))
        events_folder = options.tensorboard_dir or tensorboard_folder()
        per_worker = options.per_device_train_batch_size * options.gradient_accumulation_steps
        return Run(
            network=network,
            curriculum=Curriculum(
                phases,
                batch_size=per_worker * workers.count,
                seed=options.seed,
                max_steps=options.max_steps if options.max_steps > 0 else None,
            ),
            validation=self.data["validation"].examples,
            options=options,
            workers=workers,
            checkpoints=self._checkpoints(),
            events=Events(events_folder if workers.is_main else ""),
        )

    def _checkpoints(self) -> CheckpointFolder | None:
        folder = self.options.checkpoint_dir or checkpoint_folder()
        if not folder:
            return None
        settings = self.options.model_dump(exclude=INCIDENTAL)
        dtype = str(self.machine.dtype)
        parts = [_CHECKPOINT_FORM, settings, self.digests, digest_folder(self.base), dtype]
        fingerprint = digest_value(parts)
        # One folder per run: runs that share one would delete each other's checkpoints.
        place = f"{folder.rstrip('/')}/{fingerprint[:16]}"
        return CheckpointFolder(place, fingerprint, self.options.checkpoints_kept)


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


def _summary(
    history: TrainingHistory, run: Run, seconds: float, caps: Sequence[str]
) -> TrainingSummary:
    weights = hashlib.sha256()
    for weight in run.network.weights:
        weights.update(weight.detach().cpu().numpy().tobytes())
    return TrainingSummary(
        tokens_trained=history.tokens,
        steps=history.steps,
        train_loss=history.recent_loss,
        loss_before=history.loss_before,
        loss_after=history.best_loss,
        answers_before=history.answers[0],
        answers_after=history.best_answers,
        stopped_early=history.stopped_early,
        seconds=round(seconds, 3),
        digest=digest_value([weights.hexdigest(), run.options.model_dump(exclude=INCIDENTAL)]),
        caps=(*caps, *_step_caps(history, run.curriculum)),
    )


def _step_caps(history: TrainingHistory, curriculum: Curriculum) -> tuple[str, ...]:
    left = len(curriculum.sizes(history.examples))
    if history.stopped_early or not left:
        return ()
    total = history.steps + left
    return (f"training ended after {history.steps:,} of {total:,} steps (training.max_steps)",)
