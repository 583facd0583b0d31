"""Evaluates a tuned model against its base and the champion: scores, verdict, report."""

from typing import TYPE_CHECKING, Any

from doctune.evaluation.options import EvaluationOptions

if TYPE_CHECKING:
    from doctune.evaluation.compare import VersionComparison, compare_predictions
    from doctune.evaluation.evaluator import Evaluation, evaluate_model
    from doctune.evaluation.gate import Replay, replay_gate
    from doctune.evaluation.score_card import ScoreCard, read_card
    from doctune.evaluation.versions import (
        VersionRecord,
        render_versions,
        render_versions_markdown,
        version_rows,
    )

__all__ = [
    "Evaluation",
    "EvaluationOptions",
    "Replay",
    "ScoreCard",
    "VersionComparison",
    "VersionRecord",
    "compare_predictions",
    "evaluate_model",
    "read_card",
    "render_versions",
    "render_versions_markdown",
    "replay_gate",
    "version_rows",
]

_HOMES = {
    "Evaluation": "evaluator",
    "evaluate_model": "evaluator",
    "Replay": "gate",
    "replay_gate": "gate",
    "ScoreCard": "score_card",
    "read_card": "score_card",
    "VersionComparison": "compare",
    "compare_predictions": "compare",
    "VersionRecord": "versions",
    "render_versions": "versions",
    "render_versions_markdown": "versions",
    "version_rows": "versions",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
