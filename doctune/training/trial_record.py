"""The record of one trial of a hyperparameter search, local or on Vertex AI."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """The result of one trial."""

    number: int
    parameters: dict[str, Any]
    state: str  # "complete", "pruned" or "failed"
    loss: float | None  # lowest validation loss; None for a failed trial
    seconds: float
    reason: str = ""  # why it failed
