"""The training loop: AdamW on the adapter, validation, early stopping, the best adapter kept."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from doctune.errors import TrainingError
from doctune.progress import progress
from doctune.training.batches import cut_into_packs, epoch_batches
from doctune.training.examples import Example
from doctune.training.network import AnswerNetwork
from doctune.training.options import TrainingOptions

if TYPE_CHECKING:
    import torch


@dataclass(kw_only=True)
class TrainingCourse:
    """What happened: losses are mean nats a taught token."""

    steps: int = 0
    tokens: int = 0
    taught_tokens: int = 0
    seconds: float = 0.0
    stopped_early: bool = False
    best_step: int = 0
    train_losses: list[float] = field(default_factory=list)  # one a step
    validations: list[tuple[int, float]] = field(default_factory=list)  # (step, loss)

    @property
    def loss_before(self) -> float:
        """Validation loss before the first step."""
        return self.validations[0][1]

    @property
    def best_loss(self) -> float:
        """Lowest validation loss: that of the adapter that is kept."""
        return min(loss for _, loss in self.validations)


def train(
    network: AnswerNetwork,
    training: Sequence[Example],
    validation: Sequence[Example],
    options: TrainingOptions,
) -> TrainingCourse:
    """Trains the adapter in place and leaves the weights with the lowest validation loss in it.

    Raises:
        TrainingError: The loss is no longer a number.
    """
    import torch

    weights = network.weights
    optimizer = torch.optim.AdamW(
        weights, lr=options.learning_rate, weight_decay=options.weight_decay, fused=True
    )
    batch_size = options.per_device_train_batch_size * options.gradient_accumulation_steps
    steps_per_epoch = math.ceil(len(training) / batch_size)
    total = max(1, math.ceil(steps_per_epoch * options.num_train_epochs))
    if options.max_steps > 0:
        total = min(total, options.max_steps)
    interval = max(1, round(min(steps_per_epoch, total) / options.evals_per_epoch))
    course = TrainingCourse()
    best = _validate(network, validation, course, weights, best=None)
    start, epoch = time.monotonic(), 0
    with progress("Training", total, "steps") as bar:
        while course.steps < total and not course.stopped_early:
            for batch in epoch_batches(training, batch_size, options.seed, epoch):
                rate = options.learning_rate * _schedule(course.steps, total, options)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                _step(network, optimizer, weights, batch, options, course)
                course.seconds = time.monotonic() - start
                bar.advance(note=_note(course))
                if course.steps % interval == 0 or course.steps == total:
                    best = _validate(network, validation, course, weights, best)
                    course.stopped_early = course.steps < total and _stalled(course, options)
                if course.steps == total or course.stopped_early:
                    break
            epoch += 1
    with torch.no_grad():
        for weight, kept in zip(weights, best, strict=True):
            weight.copy_(kept)
    course.seconds = time.monotonic() - start
    return course


def validation_loss(network: AnswerNetwork, examples: Sequence[Example]) -> float:
    """Returns the mean loss of the taught tokens, in nats."""
    import torch

    total, count = 0.0, 0
    network.model.eval()
    with torch.inference_mode(), progress("Validating", len(examples), "examples") as bar:
        for group in cut_into_packs(examples):
            pack = network.pack(group)
            total += network.loss(pack).item()
            count += len(pack.targets)
            bar.advance(len(group))
    network.model.train()
    return total / count


def _step(
    network: AnswerNetwork,
    optimizer: torch.optim.Optimizer,
    weights: list[torch.Tensor],
    batch: list[Example],
    options: TrainingOptions,
    course: TrainingCourse,
) -> None:
    import torch

    labels = sum(example.labels for example in batch)
    total = 0.0
    for group in cut_into_packs(batch):
        loss = network.loss(network.pack(group)) / labels
        loss.backward()
        total += loss.item()
    limit = options.max_grad_norm or math.inf
    norm = torch.nn.utils.clip_grad_norm_(weights, limit).item()
    if not (math.isfinite(total) and math.isfinite(norm)):
        raise TrainingError(
            f"At step {course.steps + 1} the loss is {total:g} and the gradient's norm {norm:g}: "
            f"lower training.learning_rate (now {options.learning_rate:g}) or check the examples."
        )
    optimizer.step()
    optimizer.zero_grad(set_to_none=False)
    course.steps += 1
    course.tokens += sum(len(example.input_ids) for example in batch)
    course.taught_tokens += labels
    course.train_losses.append(total)


def _validate(
    network: AnswerNetwork,
    validation: Sequence[Example],
    course: TrainingCourse,
    weights: list[torch.Tensor],
    best: list[torch.Tensor] | None,
) -> list[torch.Tensor]:
    loss = validation_loss(network, validation)
    if not math.isfinite(loss):
        remedy = "lower training.learning_rate" if course.steps else "choose another base model"
        raise TrainingError(f"The validation loss is {loss} after {course.steps} steps: {remedy}.")
    better = best is None or loss < course.best_loss
    course.validations.append((course.steps, loss))
    if better or best is None:
        course.best_step = course.steps
        return [weight.detach().clone() for weight in weights]
    return best


def _stalled(course: TrainingCourse, options: TrainingOptions) -> bool:
    since_best = sum(step > course.best_step for step, _ in course.validations)
    return 0 < options.early_stopping_patience <= since_best


def _schedule(step: int, total: int, options: TrainingOptions) -> float:
    """Returns the factor of the learning rate at a step that is about to be made."""
    warmup = math.ceil(total * options.warmup_ratio)
    if step < warmup:
        return (step + 1) / warmup
    left = (total - step) / max(1, total - warmup)
    if options.lr_scheduler_type == "linear":
        return left
    if options.lr_scheduler_type == "cosine":
        return 0.5 - 0.5 * math.cos(math.pi * left)
    return 1.0


def _note(course: TrainingCourse) -> str:
    recent = course.train_losses[-10:]
    speed = course.tokens / max(course.seconds, 1e-9)
    last = f", validation {course.validations[-1][1]:.3f}"
    return f"loss {sum(recent) / len(recent):.3f}{last}, {speed:,.0f} tokens/s"
