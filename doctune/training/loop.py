"""The training loop: AdamW on the adapter, validation, early stopping, best checkpoint."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from types import FrameType

import torch

from doctune.errors import TrainingError
from doctune.progress import progress
from doctune.training.batches import Curriculum, cut_into_packs
from doctune.training.checkpoints import Checkpoint, CheckpointFolder
from doctune.training.events import Events
from doctune.training.examples import Example
from doctune.training.history import TrainingHistory
from doctune.training.machine import MemoryWatch
from doctune.training.network import AnswerNetwork
from doctune.training.options import TrainingOptions
from doctune.training.sharding import even_packs
from doctune.training.workers import Workers

# Examples of a validation that are in memory at the same time.
_VALIDATION_BLOCK = 4096


def _never(history: TrainingHistory) -> bool:
    return False


@dataclass(kw_only=True)
class Run:
    """A training run: its fixed parts first, then its state."""

    network: AnswerNetwork
    curriculum: Curriculum
    validation: Sequence[Example]
    options: TrainingOptions
    workers: Workers = field(default_factory=Workers)
    checkpoints: CheckpointFolder | None = None
    events: Events = field(default_factory=Events)
    # Called with the history after each validation; true ends the run. A search prunes by it.
    should_stop: Callable[[TrainingHistory], bool] = _never

    history: TrainingHistory = field(default_factory=TrainingHistory)
    best: list[torch.Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.optimizer = torch.optim.AdamW(
            self.network.weights,
            lr=self.options.learning_rate,
            weight_decay=self.options.weight_decay,
            fused=True,
        )
        self.plan()

    def plan(self) -> None:
        """Plans the remaining steps after `history`, which may come from a checkpoint."""
        history = self.history
        sizes = self.curriculum.sizes(history.examples)
        if self.curriculum.max_steps is not None:
            sizes = sizes[: max(0, self.curriculum.max_steps - history.steps)]
        self.total_steps = history.steps + len(sizes)
        self.total_examples = history.examples + sum(sizes)
        steps = min(self.curriculum.steps_per_epoch, self.total_steps)
        self.interval = max(1, round(steps / self.options.evals_per_epoch))

    def packs(self, examples: Sequence[Example]) -> Iterator[tuple[list[Example], bool]]:
        """Yields this worker's packs of the examples, and whether each counts in the loss."""
        if self.options.fsdp:
            yield from even_packs(examples, self.workers, self.network.pack_tokens)
            return
        for pack in cut_into_packs(self.workers.shard(examples), self.network.pack_tokens):
            yield pack, True


def train(run: Run) -> TrainingHistory:
    """Trains the adapter in place; at the end it has the best weights by `stop_by`.

    Raises:
        TrainingError: The loss is no longer finite, memory or disk is full, or the process got
            SIGTERM; in that case a checkpoint was written first.
    """
    history, memory = run.history, MemoryWatch()
    with _termination() as told_to_end, _explain_out_of_memory(run):
        if run.checkpoints and (checkpoint := run.checkpoints.newest()):
            history = _restore(run, checkpoint)
        total = run.total_steps
        if not history.validations:
            _validate(run)
        seconds, start = history.seconds, time.monotonic()
        with progress("Training", total, "steps") as bar:
            bar.advance(history.steps)
            while history.steps < total and not history.stopped_early:
                ends = _step(run, told_to_end.is_set())
                history.seconds = seconds + time.monotonic() - start
                bar.advance(note=_note(history, memory.after_step()))
                if history.steps % run.interval == 0 or history.steps == total:
                    _validate(run)
                    patience = run.options.early_stopping_patience
                    should_prune = run.should_stop(history)
                    history.stopped_early = history.steps < total and (
                        should_prune or 0 < patience <= history.stalls
                    )
                due = history.steps % run.options.checkpoint_steps == 0
                if ends or due or history.steps == total or history.stopped_early:
                    _save(run)
                if ends:
                    raise _terminated(run)
    with torch.no_grad():
        for weight, kept in zip(run.network.weights, run.best, strict=True):
            weight.copy_(kept)
    return history


def validate(run: Run) -> tuple[float, float]:
    """Returns the mean validation loss in nats per label token, and the exact-match share.

    An example counts as exact match if greedy decoding would give its answer token for token.
    """
    network, examples = run.network, run.validation
    # On the network's device: NCCL reduces only tensors on the GPU.
    total = torch.zeros(4, dtype=torch.float64, device=network.device)
    network.model.eval()
    own = len(range(run.workers.rank, len(examples), run.workers.count))
    with torch.no_grad(), progress("Validating", own, "examples") as bar:
        blocks = range(0, len(examples), _VALIDATION_BLOCK)
        packs = (run.packs(examples[start : start + _VALIDATION_BLOCK]) for start in blocks)
        for group, counts in chain.from_iterable(packs):
            pack = network.pack(group)
            loss, right = network.check(pack, group)
            if counts:
                told = [loss, len(pack.targets), right, len(group)]
                total += torch.tensor(told, dtype=total.dtype, device=network.device)
                bar.advance(len(group))
    network.model.train()
    run.workers.all_reduce(total)
    return float(total[0] / total[1]), float(total[2] / total[3])


def _step(run: Run, told_to_end: bool) -> bool:
    """Makes one step; returns whether any worker got SIGTERM."""
    history, options, weights = run.history, run.options, run.network.weights
    batch = run.curriculum.batch(history.examples)
    labels = sum(example.labels for example in batch)
    # Seeded for each step, so that dropout is the same in a resumed run.
    torch.manual_seed(hash((options.seed, history.steps, run.workers.rank)) & 0x7FFFFFFF)
    rate = options.learning_rate * _schedule(run)
    for group in run.optimizer.param_groups:
        group["lr"] = rate
    run.optimizer.zero_grad()
    told = torch.zeros(4, dtype=torch.float32, device=run.network.device)
    for examples, counts in run.packs(batch):
        pack = run.network.pack(examples)
        loss = run.network.loss(pack) * (counts / labels)
        loss.backward()
        tokens = pack.input_ids.numel()
        told += torch.tensor([loss.item(), 0, tokens, 0 if counts else tokens]).to(told.device)
    told[1] = float(told_to_end)
    run.workers.all_reduce(told, *(_gradient(weight) for weight in weights))
    total, ends, computed, padding = told.tolist()
    norm = torch.nn.utils.clip_grad_norm_(weights, options.max_grad_norm or math.inf).item()
    if not (math.isfinite(total) and math.isfinite(norm)):
        raise TrainingError(
            f"At step {history.steps + 1} the loss is {total:g} and the gradient's norm {norm:g}: "
            f"lower training.learning_rate (now {options.learning_rate:g}) or check the examples."
        )
    run.optimizer.step()
    history.steps += 1
    history.examples += len(batch)
    history.tokens += sum(len(example.input_ids) for example in batch)
    history.computed_tokens += int(computed)
    history.padding_tokens += int(padding)
    history.taught_tokens += labels
    history.train_losses.append(total)
    run.events.add(
        history.steps, {"train/loss": total, "train/grad_norm": norm, "train/rate": rate}
    )
    return ends > 0


def _gradient(weight: torch.Tensor) -> torch.Tensor:
    if weight.grad is None:  # a worker that got no example of the first batch
        weight.grad = torch.zeros_like(weight)
    return weight.grad


def _validate(run: Run) -> None:
    history = run.history
    loss, answers = validate(run)
    if not math.isfinite(loss):
        remedy = "lower training.learning_rate" if history.steps else "choose another base model"
        raise TrainingError(f"The validation loss is {loss} after {history.steps} steps: {remedy}.")
    if not history.validations or _is_better(run, loss, answers):
        history.best_step = history.steps
        run.best = [weight.detach().clone() for weight in run.network.weights]
    history.validations.append((history.steps, loss))
    history.answers.append(answers)
    run.events.add(history.steps, {"validation/loss": loss, "validation/answers": answers})


def _is_better(run: Run, loss: float, answers: float) -> bool:
    history = run.history
    if run.options.stop_by == "answers" and answers != history.best_answers:
        return answers > history.best_answers
    return loss < history.best_loss


def _save(run: Run) -> None:
    if run.checkpoints is None or not run.workers.is_main:
        return
    tensors = {}
    for index, weight in enumerate(run.network.weights):
        tensors[f"weight.{index}"] = weight.detach()
        tensors[f"best.{index}"] = run.best[index]
        for name, value in run.optimizer.state[weight].items():
            tensors[f"optimizer.{index}.{name}"] = value
    run.checkpoints.save(Checkpoint(history=run.history, tensors=tensors))


def _restore(run: Run, checkpoint: Checkpoint) -> TrainingHistory:
    tensors, device = checkpoint.tensors, run.network.device
    with torch.no_grad():
        for index, weight in enumerate(run.network.weights):
            weight.copy_(tensors[f"weight.{index}"])
            run.optimizer.state[weight] = {
                # The fused optimizer keeps its step count on the weights' device.
                name: tensors[f"optimizer.{index}.{name}"].to(device)
                for name in ("step", "exp_avg", "exp_avg_sq")
            }
    run.best = [tensors[f"best.{i}"].to(device) for i in range(len(run.network.weights))]
    run.history = checkpoint.history
    run.plan()
    return run.history


@contextmanager
def _termination() -> Iterator[threading.Event]:
    """Yields an event that SIGTERM sets while the block runs, instead of killing the process."""
    told = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield told  # only the main thread can handle signals
        return

    def tell(number: int, frame: FrameType | None) -> None:
        told.set()

    before = signal.signal(signal.SIGTERM, tell)
    try:
        yield told
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminated(run: Run) -> TrainingError:
    kept = "nothing was saved: set training.checkpoint_dir to be able to resume."
    if run.checkpoints:
        kept = f"run again with the same settings to resume from {run.checkpoints.uri}."
    return TrainingError(f"Stopped by SIGTERM after step {run.history.steps}; {kept}")


@contextmanager
def _explain_out_of_memory(run: Run) -> Iterator[None]:
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        memory = isinstance(error, torch.OutOfMemoryError | MemoryError)
        if not memory and "allocate memory" not in str(error):
            raise
        options, now = run.options, run.network.pack_tokens
        fits = max(64, now // 2)
        remedy = f"set training.pack_tokens to {fits} (now {now})"
        if options.max_length > fits:
            remedy += f" and training.max_length to {fits} (now {options.max_length})"
        if not options.gradient_checkpointing:
            remedy += ", or training.gradient_checkpointing to true"
        raise TrainingError(f"Memory is full: {remedy}, or train on a larger machine.") from error


def _schedule(run: Run) -> float:
    """Returns the learning rate's factor for the next step: linear warm-up, then decay.

    It depends on the number of examples, not steps, so that a run resumed with another number of
    workers keeps its learning rate.
    """
    options, seen, batch_size = run.options, run.history.examples, run.curriculum.batch_size
    warmup = math.ceil(run.total_steps * options.warmup_ratio) * batch_size
    if seen < warmup:
        return min(1.0, (seen + batch_size) / warmup)
    left = (run.total_examples - seen) / max(1, run.total_examples - warmup)
    if options.lr_scheduler_type == "linear":
        return min(1.0, left)
    if options.lr_scheduler_type == "cosine":
        return 0.5 - 0.5 * math.cos(math.pi * min(1.0, left))
    return 1.0


def _note(history: TrainingHistory, memory: float) -> str:
    speed = history.tokens / max(history.seconds, 1e-9)
    validation = history.validations[-1][1]
    return (
        f"loss {history.recent_loss:.3f}, validation {validation:.3f}, "
        f"answers {history.answers[-1]:.0%}, {speed:,.0f} tokens/s, "
        f"{memory / 2**30:.1f} GiB"
    )
