"""What became of one trial of a hyperparameter search, wherever it ran."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """One trial."""

    number: int
    parameters: dict[str, Any]
    state: str  # "complete", "pruned" or "failed"
    loss: float | None  # least validation loss; None for a failed trial
    seconds: float
    reason: str = ""  # why it failed
