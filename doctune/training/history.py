"""The history of a training run: losses, validations and counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(kw_only=True)
class TrainingHistory:
    """The history of a run so far. Losses are mean nats per label token."""

    steps: int = 0
    examples: int = 0  # trained on, counted again in each epoch
    tokens: int = 0  # of the examples trained on, without padding
    computed_tokens: int = 0  # that went through the network, with padding
    padding_tokens: int = 0
    taught_tokens: int = 0
    seconds: float = 0.0
    stopped_early: bool = False
    best_step: int = 0
    train_losses: list[float] = field(default_factory=list)  # one a step
    validations: list[tuple[int, float]] = field(default_factory=list)  # (step, loss)
    answers: list[float] = field(default_factory=list)  # exact-match share of each validation

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainingHistory:
        """Returns a history from its `dataclasses.asdict` form, after a round trip through JSON."""
        history = cls(**values)
        history.validations = [(int(step), float(loss)) for step, loss in history.validations]
        return history

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
        """Exact-match share of the validation answers, with the adapter that is kept."""
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
        """The number of validations since the best one."""
        return sum(step > self.best_step for step, _ in self.validations)
