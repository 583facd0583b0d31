"""Any two evaluated versions against each other, from their predictions alone.

Both evaluations must be of the same test set. The answers are taken as they are stored, scored
again by the same metrics, and compared pair by pair, so no model is loaded.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from doctune.errors import EvaluationError
from doctune.evaluation.bootstrap import Bootstrap
from doctune.evaluation.catalog import METRICS
from doctune.evaluation.comparison import BASE, TUNED, Comparison, compare
from doctune.evaluation.metrics import compute_metrics
from doctune.evaluation.options import EvaluationOptions
from doctune.evaluation.samples import Sample, perplexity_sample
from doctune.evaluation.slices import Slice, slice_gains
from doctune.evaluation.test_set import Example
from doctune.evaluation.verdict import format_gain


@dataclass(frozen=True, kw_only=True)
class VersionComparison:
    """Version B against version A. In `comparison` B is "tuned" and A is "base"."""

    names: tuple[str, str]
    examples: int
    comparison: Comparison
    slices: tuple[Slice, ...]

    def markdown(self) -> str:
        """Returns the table of metrics, with the gain of B over A and its interval."""
        first, second = self.names
        lines = [
            f"## {second} against {first}, on {self.examples} examples",
            "",
            f"| metric | {first} | {second} | gain | interval | p, corrected |",
            "|---|---:|---:|---:|---:|---:|",
        ]
        values = {(entry.metric, entry.model): entry.value for entry in self.comparison.measured}
        for gain in self.comparison.gains:
            info = METRICS[gain.metric]
            a, b = values[gain.metric, BASE], values[gain.metric, TUNED]
            lines.append(
                f"| {info.title} | {a:.{info.digits}f} | {b:.{info.digits}f} "
                f"| {format_gain(info, gain.value)} | {format_gain(info, gain.interval.low)} to "
                f"{format_gain(info, gain.interval.high)} | {gain.p_corrected:.3f} |"
            )
        return "\n".join([*lines, ""])


def compare_predictions(
    first: Path,
    second: Path,
    *,
    names: tuple[str, str] = ("A", "B"),
    options: EvaluationOptions | None = None,
) -> VersionComparison:
    """Compares the tuned models of two evaluations.

    Args:
        first: `predictions.jsonl` of version A.
        second: That of version B.
        names: What to call them.

    Raises:
        EvaluationError: A file cannot be read, or they are not of the same test set.
    """
    chosen = options or EvaluationOptions()
    rows = {BASE: read_predictions(first), TUNED: read_predictions(second)}
    if [_asked(row) for row in rows[BASE]] != [_asked(row) for row in rows[TUNED]]:
        raise EvaluationError(
            f"{first} and {second} are of different test sets: evaluate both versions on the "
            "same one (pipelines/evaluate.py)."
        )
    examples = [_example(row) for row in rows[BASE]]
    samples = {model: _samples(examples, found) for model, found in rows.items()}
    bootstrap = Bootstrap(
        resamples=chosen.bootstrap_resamples, confidence=chosen.confidence, seed=chosen.seed
    )
    comparison = compare(samples, bootstrap)
    slices = slice_gains(examples, samples, bootstrap, min_examples=chosen.min_slice_examples)
    return VersionComparison(
        names=names,
        examples=len(examples),
        comparison=comparison,
        slices=tuple(slices),
    )


def read_predictions(path: Path) -> list[dict[str, Any]]:
    """Returns the rows of a `predictions.jsonl` that `evaluate_model` wrote.

    Raises:
        EvaluationError: It is missing or not in that form.
    """
    try:
        with path.open(encoding="utf-8") as file:
            rows = [json.loads(line) for line in file if line.strip()]
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise EvaluationError(f"{path} cannot be read: {error}.") from error
    for number, row in enumerate(rows):
        answer = row.get("answers", {}).get(TUNED) if isinstance(row, dict) else None
        if not isinstance(answer, dict) or not {"text", "nll", "reference_tokens"} <= set(answer):
            raise EvaluationError(
                f"{path}, line {number + 1}: no answer of the tuned model; give the "
                "predictions.jsonl that evaluate_model wrote."
            )
    if not rows:
        raise EvaluationError(f"{path} holds no predictions.")
    return rows


def _asked(row: dict[str, Any]) -> tuple[Any, ...]:
    return (row["index"], row["reference"], [message["content"] for message in row["prompt"]])


def _example(row: dict[str, Any]) -> Example:
    return Example(
        index=row["index"],
        prompt=tuple(row["prompt"]),
        reference=row["reference"],
        kind=row.get("kind", ""),
        passage=row.get("passage", ""),
        source=row.get("source", {}),
    )


def _samples(examples: Sequence[Example], rows: Sequence[dict[str, Any]]) -> dict[str, Sample]:
    answers = [row["answers"][TUNED] for row in rows]
    _, samples = compute_metrics(
        {
            "predictions": [answer["text"] for answer in answers],
            "references": [example.reference for example in examples],
            "questions": [example.question for example in examples],
            "passages": [example.passage for example in examples],
        }
    )
    samples["perplexity"] = perplexity_sample(
        [answer["nll"] for answer in answers],
        [answer["reference_tokens"] for answer in answers],
    )
    return {name: samples[name] for name in METRICS if name in samples}
