"""The training loop: AdamW on the adapter, validation, early stopping, the best adapter kept."""

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
from doctune.training.course import TrainingCourse
from doctune.training.events import Events
from doctune.training.examples import Example
from doctune.training.machine import MemoryWatch
from doctune.training.network import AnswerNetwork
from doctune.training.options import TrainingOptions
from doctune.training.sharding import even_packs
from doctune.training.workers import Workers

# Examples of a validation that are in memory at one time.
_VALIDATION_BLOCK = 4096


def _never(course: TrainingCourse) -> bool:
    return False


@dataclass(kw_only=True)
class Run:
    """What a run is made of: fixed parts first, then its state."""

    network: AnswerNetwork
    curriculum: Curriculum
    validation: Sequence[Example]
    options: TrainingOptions
    workers: Workers = field(default_factory=Workers)
    checkpoints: CheckpointFolder | None = None
    events: Events = field(default_factory=Events)
    # Called with the course after each validation; true ends the run (a search prunes a trial so).
    should_stop: Callable[[TrainingCourse], bool] = _never

    course: TrainingCourse = field(default_factory=TrainingCourse)
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
        """Counts what is left to do after `course`, which may have come from a checkpoint."""
        course = self.course
        sizes = self.curriculum.sizes(course.examples)
        if self.curriculum.max_steps is not None:
            sizes = sizes[: max(0, self.curriculum.max_steps - course.steps)]
        self.total_steps = course.steps + len(sizes)
        self.total_examples = course.examples + sum(sizes)
        steps = min(self.curriculum.steps_per_epoch, self.total_steps)
        self.interval = max(1, round(steps / self.options.evals_per_epoch))

    def packs(self, examples: Sequence[Example]) -> Iterator[tuple[list[Example], bool]]:
        """Yields this worker's packs of some examples, and whether each counts."""
        if self.options.fsdp:
            yield from even_packs(examples, self.workers, self.network.pack_tokens)
            return
        for pack in cut_into_packs(self.workers.share(examples), self.network.pack_tokens):
            yield pack, True


def train(run: Run) -> TrainingCourse:
    """Trains the adapter in place and leaves the best weights by `stop_by` in it.

    Raises:
        TrainingError: The loss is no longer a number, memory or disk is full, or the process was
            told to end (SIGTERM); in the last case after a checkpoint.
    """
    course, memory = run.course, MemoryWatch()
    with _termination() as told_to_end, _clear_memory_failures(run):
        if run.checkpoints and (checkpoint := run.checkpoints.newest()):
            course = _restore(run, checkpoint)
        total = run.total_steps
        if not course.validations:
            _validate(run)
        seconds, start = course.seconds, time.monotonic()
        with progress("Training", total, "steps") as bar:
            bar.advance(course.steps)
            while course.steps < total and not course.stopped_early:
                ends = _step(run, told_to_end.is_set())
                course.seconds = seconds + time.monotonic() - start
                bar.advance(note=_note(course, memory.after_step()))
                if course.steps % run.interval == 0 or course.steps == total:
                    _validate(run)
                    patience = run.options.early_stopping_patience
                    hopeless = run.should_stop(course)
                    course.stopped_early = course.steps < total and (
                        hopeless or 0 < patience <= course.stalls
                    )
                due = course.steps % run.options.checkpoint_steps == 0
                if ends or due or course.steps == total or course.stopped_early:
                    _save(run)
                if ends:
                    raise _terminated(run)
    with torch.no_grad():
        for weight, kept in zip(run.network.weights, run.best, strict=True):
            weight.copy_(kept)
    return course


def validate(run: Run) -> tuple[float, float]:
    """Returns the mean loss of the taught tokens that the run validates with, in nats, and the
    share of its examples whose answer is right word for word.
    """
    network, examples = run.network, run.validation
    # Where the network is: the workers of GPUs add up nothing that is elsewhere.
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
    run.workers.add_up(total)
    return float(total[0] / total[1]), float(total[2] / total[3])


def _step(run: Run, told_to_end: bool) -> bool:
    """Makes one step; returns whether any worker was told to end."""
    course, options, weights = run.course, run.options, run.network.weights
    batch = run.curriculum.batch(course.examples)
    labels = sum(example.labels for example in batch)
    # Dropout draws the same numbers whether or not the run was stopped before this step.
    torch.manual_seed(hash((options.seed, course.steps, run.workers.rank)) & 0x7FFFFFFF)
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
    run.workers.add_up(told, *(_gradient(weight) for weight in weights))
    total, ends, computed, padding = told.tolist()
    norm = torch.nn.utils.clip_grad_norm_(weights, options.max_grad_norm or math.inf).item()
    if not (math.isfinite(total) and math.isfinite(norm)):
        raise TrainingError(
            f"At step {course.steps + 1} the loss is {total:g} and the gradient's norm {norm:g}: "
            f"lower training.learning_rate (now {options.learning_rate:g}) or check the examples."
        )
    run.optimizer.step()
    course.steps += 1
    course.examples += len(batch)
    course.tokens += sum(len(example.input_ids) for example in batch)
    course.computed_tokens += int(computed)
    course.padding_tokens += int(padding)
    course.taught_tokens += labels
    course.train_losses.append(total)
    run.events.add(course.steps, {"train/loss": total, "train/grad_norm": norm, "train/rate": rate})
    return ends > 0


def _gradient(weight: torch.Tensor) -> torch.Tensor:
    if weight.grad is None:  # a worker without a share of the first batch
        weight.grad = torch.zeros_like(weight)
    return weight.grad


def _validate(run: Run) -> None:
    course = run.course
    loss, answers = validate(run)
    if not math.isfinite(loss):
        remedy = "lower training.learning_rate" if course.steps else "choose another base model"
        raise TrainingError(f"The validation loss is {loss} after {course.steps} steps: {remedy}.")
    if not course.validations or _is_better(run, loss, answers):
        course.best_step = course.steps
        run.best = [weight.detach().clone() for weight in run.network.weights]
    course.validations.append((course.steps, loss))
    course.answers.append(answers)
    run.events.add(course.steps, {"validation/loss": loss, "validation/answers": answers})


def _is_better(run: Run, loss: float, answers: float) -> bool:
    course = run.course
    if run.options.stop_by == "answers" and answers != course.best_answers:
        return answers > course.best_answers
    return loss < course.best_loss


def _save(run: Run) -> None:
    if run.checkpoints is None or not run.workers.writes:
        return
    tensors = {}
    for index, weight in enumerate(run.network.weights):
        tensors[f"weight.{index}"] = weight.detach()
        tensors[f"best.{index}"] = run.best[index]
        for name, value in run.optimizer.state[weight].items():
            tensors[f"optimizer.{index}.{name}"] = value
    run.checkpoints.save(Checkpoint(course=run.course, tensors=tensors))


def _restore(run: Run, checkpoint: Checkpoint) -> TrainingCourse:
    tensors, device = checkpoint.tensors, run.network.device
    with torch.no_grad():
        for index, weight in enumerate(run.network.weights):
            weight.copy_(tensors[f"weight.{index}"])
            run.optimizer.state[weight] = {
                # The fused optimizer keeps its count of steps where the weights are.
                name: tensors[f"optimizer.{index}.{name}"].to(device)
                for name in ("step", "exp_avg", "exp_avg_sq")
            }
    run.best = [tensors[f"best.{i}"].to(device) for i in range(len(run.network.weights))]
    run.course = checkpoint.course
    run.plan()
    return run.course


@contextmanager
def _termination() -> Iterator[threading.Event]:
    """Yields what SIGTERM sets while the block runs, instead of ending the process at once."""
    told = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield told  # signals come to the main thread only
        return

    def tell(number: int, frame: FrameType | None) -> None:
        told.set()

    before = signal.signal(signal.SIGTERM, tell)
    try:
        yield told
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminated(run: Run) -> TrainingError:
    kept = "nothing was kept: set training.checkpoint_dir to be able to go on from there."
    if run.checkpoints:
        kept = f"run again with the same settings to go on from {run.checkpoints.uri}."
    return TrainingError(f"Told to end (SIGTERM) after step {run.course.steps}; {kept}")


@contextmanager
def _clear_memory_failures(run: Run) -> Iterator[None]:
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
    """Returns the factor of the learning rate at the step that is about to be made.

    It follows the examples, so that a run that goes on with other workers goes on at its rate.
    """
    options, seen, batch_size = run.options, run.course.examples, run.curriculum.batch_size
    warmup = math.ceil(run.total_steps * options.warmup_ratio) * batch_size
    if seen < warmup:
        return min(1.0, (seen + batch_size) / warmup)
    left = (run.total_examples - seen) / max(1, run.total_examples - warmup)
    if options.lr_scheduler_type == "linear":
        return min(1.0, left)
    if options.lr_scheduler_type == "cosine":
        return 0.5 - 0.5 * math.cos(math.pi * min(1.0, left))
    return 1.0


def _note(course: TrainingCourse, memory: float) -> str:
    speed = course.tokens / max(course.seconds, 1e-9)
    validation = course.validations[-1][1]
    return (
        f"loss {course.recent_loss:.3f}, validation {validation:.3f}, "
        f"answers {course.answers[-1]:.0%}, {speed:,.0f} tokens/s, "
        f"{memory / 2**30:.1f} GiB"
    )
