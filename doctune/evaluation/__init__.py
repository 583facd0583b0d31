"""A tuned model against its base and the champion: scores, verdict, report."""

from typing import TYPE_CHECKING, Any

from doctune.evaluation.options import EvaluationOptions

if TYPE_CHECKING:
    from doctune.evaluation.evaluator import Evaluation, evaluate_model

__all__ = ["Evaluation", "EvaluationOptions", "evaluate_model"]

_HOMES = {
    "Evaluation": "doctune.evaluation.evaluator",
    "evaluate_model": "doctune.evaluation.evaluator",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
