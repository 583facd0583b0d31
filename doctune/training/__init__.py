"""Examples to a tuned model: LoRA on a causal language model, merged and ready to serve."""

import os
from typing import Any

from doctune.training.options import TrainingOptions

__all__ = [
    "SearchOptions",
    "TrainingOptions",
    "TrainingSummary",
    "export_model",
    "search_hyperparameters",
    "tune_model",
    "tune_on_every_gpu",
    "tune_preferences",
]

# Read by OpenMP when torch is loaded: threads that spin while they wait for each other burn the
# time of whatever else runs here; training beside one busy neighbour took three times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_HOMES = {
    "SearchOptions": "doctune.training.search_options",
    "export_model": "doctune.training.export",
    "search_hyperparameters": "doctune.training.search",
    "tune_preferences": "doctune.training.preferences",
    "TrainingSummary": "doctune.training.outputs",
    "tune_model": "doctune.training.tune",
    "tune_on_every_gpu": "doctune.training.launch",
}


def __getattr__(name: str) -> Any:
    # Importing torch and transformers takes seconds: only when a stage is run.
    from importlib import import_module

    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
