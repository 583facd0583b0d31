"""What happened in a training run, step by step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(kw_only=True)
class TrainingCourse:
    """What happened so far. Losses are mean nats a taught token."""

    steps: int = 0
    examples: int = 0  # trained on, each as often as it was
    tokens: int = 0  # of the examples trained on; padding does not count
    computed_tokens: int = 0  # that went through the network, padding included
    padding_tokens: int = 0
    taught_tokens: int = 0
    seconds: float = 0.0
    stopped_early: bool = False
    best_step: int = 0
    train_losses: list[float] = field(default_factory=list)  # one a step
    validations: list[tuple[int, float]] = field(default_factory=list)  # (step, loss)
    answers: list[float] = field(default_factory=list)  # of each validation, the share right

    @classmethod
    def of(cls, values: dict[str, Any]) -> TrainingCourse:
        """Returns the course that `dataclasses.asdict` and JSON took apart."""
        course = cls(**values)
        course.validations = [(int(step), float(loss)) for step, loss in course.validations]
        return course

    @property
    def loss_before(self) -> float:
        """Validation loss before the first step."""
        return self.validations[0][1]

    @property
    def best_loss(self) -> float:
        """Validation loss of the adapter that is kept."""
        return next(loss for step, loss in self.validations if step == self.best_step)

    @property
    def best_answers(self) -> float:
        """Share of the validation answers that the adapter that is kept gives word for word."""
        kept = (step for step, _ in self.validations)
        return next(
            share for step, share in zip(kept, self.answers, strict=True) if step == self.best_step
        )

    @property
    def recent_loss(self) -> float:
        """Mean training loss of the last ten steps."""
        recent = self.train_losses[-10:]
        return sum(recent) / len(recent)

    @property
    def stalls(self) -> int:
        """Validations since the best one."""
        return sum(step > self.best_step for step, _ in self.validations)
