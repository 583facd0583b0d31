"""Fine-tuning: LoRA on a causal language model, merged and ready to serve."""

import os
from typing import Any

from doctune.training.options import TrainingOptions

__all__ = [
    "SearchOptions",
    "TrainingOptions",
    "TrainingSummary",
    "add_grounded_examples",
    "export_model",
    "search_hyperparameters",
    "tune_model",
    "tune_on_every_gpu",
    "tune_preferences",
]

# OpenMP reads it when torch is loaded. Threads that spin while they wait take CPU time from other
# processes; training beside one busy process took three times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_HOMES = {
    "SearchOptions": "doctune.training.search_options",
    "add_grounded_examples": "doctune.training.grounded_examples",
    "export_model": "doctune.training.export",
    "search_hyperparameters": "doctune.training.search",
    "tune_preferences": "doctune.training.preferences",
    "TrainingSummary": "doctune.training.outputs",
    "tune_model": "doctune.training.tune",
    "tune_on_every_gpu": "doctune.training.launch",
}


def __getattr__(name: str) -> Any:
    # Imported on first use: torch and transformers take seconds to import.
    from importlib import import_module

    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
