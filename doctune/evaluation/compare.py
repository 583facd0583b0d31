"""Compares two evaluated versions by their predictions.

Both must have been evaluated on the same test set. The stored answers are scored again by the same
metrics and compared in pairs, so no model is loaded.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from doctune.digests import digest_value
from doctune.errors import EvaluationError, UsageError
from doctune.evaluation.bootstrap import Bootstrap
from doctune.evaluation.catalog import METRICS
from doctune.evaluation.clusters import clusters_of
from doctune.evaluation.comparison import (
    BASE,
    TUNED,
    Comparison,
    compare,
    example_gains,
    metric_of_examples,
)
from doctune.evaluation.options import EvaluationOptions
from doctune.evaluation.samples import Sample, bits_sample, perplexity_sample
from doctune.evaluation.score_card import make_card
from doctune.evaluation.similarity import encoder_folder
from doctune.evaluation.slices import Slice, slice_gains
from doctune.evaluation.test_set import Example
from doctune.evaluation.verdict import format_gain

_EXAMPLES_SHOWN = 5
_CHARACTERS_SHOWN = 200


@dataclass(frozen=True, kw_only=True)
class VersionComparison:
    """The comparison of version B with A. In `comparison` B is "tuned" and A is "base"."""

    names: tuple[str, str]
    metric: str
    examples: int
    comparison: Comparison
    confidence: float
    slices: tuple[Slice, ...]
    worse: tuple[WorseExample, ...]  # the worst first

    def markdown(self) -> str:
        """Returns metrics with the gain of B over A, worst slices, and examples that got worse."""
        return "\n".join([*self._metric_lines(), *self._slice_lines(), *self._example_lines(), ""])

    def as_json(self) -> dict[str, Any]:
        """Returns the same numbers in the form of `scores.json`: A is "base", B is "tuned"."""
        card = make_card(
            self.comparison,
            self.slices,
            {
                "primary_metric": self.metric,
                "confidence": self.confidence,
                "examples": self.examples,
                "test_digest": "",
                "created": "",
            },
        )
        kept = {"primary_metric", "confidence", "examples", "scores", "gains", "slices"}
        worse = [asdict(example) for example in self.worse]
        return {"names": self.names, **card.model_dump(mode="json", include=kept), "worse": worse}

    def _metric_lines(self) -> list[str]:
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
        return lines

    def _slice_lines(self) -> list[str]:
        info = METRICS[self.metric]
        known = [(gain, part) for part in self.slices if (gain := part.gain(self.metric))]
        known.sort(key=lambda pair: pair[0].value)
        if not known:
            return []
        lines = ["", f"### Slices by {info.title}, the worst first", ""]
        lines += [
            "| slice | examples | gain | interval | p, corrected |",
            "|---|---:|---:|---:|---:|",
        ]
        for gain, part in known:
            lines.append(
                f"| {part.name} | {part.examples} | {format_gain(info, gain.value)} "
                f"| {format_gain(info, gain.interval.low)} to "
                f"{format_gain(info, gain.interval.high)} | {gain.p_corrected:.3f} |"
            )
        return lines

    def _example_lines(self) -> list[str]:
        if not self.worse:
            return []
        first, second = self.names
        lines = ["", f"### What got worse by {METRICS[self.metric].title}, the worst first"]
        for example in self.worse[:_EXAMPLES_SHOWN]:
            lines += [
                "",
                f"{example.number}. {_line(example.question)}",
                f"   - reference: {_line(example.reference)}",
                f"   - {first}: {_line(example.first)}",
                f"   - {second}: {_line(example.second)}",
            ]
        return lines


@dataclass(frozen=True, kw_only=True)
class WorseExample:
    """An example on which B is worse than A.

    `loss` is in the metric's unit; for perplexity in nats per token.
    """

    number: int  # line of the test set, from 1
    question: str
    reference: str
    first: str
    second: str
    loss: float


def compare_predictions(
    first: Path,
    second: Path,
    *,
    names: tuple[str, str] = ("A", "B"),
    options: EvaluationOptions | None = None,
    metric: str = "",
) -> VersionComparison:
    """Compares the tuned models of two evaluations.

    Args:
        first: `predictions.jsonl` of version A.
        second: `predictions.jsonl` of version B.
        names: The names of the versions in the output.
        metric: What slices and examples are ordered by; where empty, the primary metric or, where
            that is not known from predictions, perplexity.

    Raises:
        EvaluationError: A file cannot be read, or the test sets differ.
        UsageError: The metric is unknown, or cannot be computed from predictions.
    """
    chosen = options or EvaluationOptions()
    rows = {BASE: read_predictions(first), TUNED: read_predictions(second)}
    if [_asked(row) for row in rows[BASE]] != [_asked(row) for row in rows[TUNED]]:
        raise EvaluationError(
            f"{first} and {second} are of different test sets: evaluate both versions on the "
            "same one (pipelines/evaluate.py)."
        )
    examples = [_example(row) for row in rows[BASE]]
    encoder = encoder_folder() if chosen.semantic_similarity else None
    samples = {model: _samples(examples, found, encoder) for model, found in rows.items()}
    ordering = metric or metric_of_examples(chosen.primary_metric, samples)
    if ordering not in samples[TUNED]:
        raise UsageError(
            f'"{ordering}" is not known from predictions: choose one of '
            f"{', '.join(samples[TUNED])} with --metric."
        )
    bootstrap = Bootstrap(
        resamples=chosen.bootstrap_resamples,
        confidence=chosen.confidence,
        seed=chosen.seed,
        clusters=clusters_of(examples),
    )
    comparison = compare(samples, bootstrap)
    slices = slice_gains(examples, samples, bootstrap, min_examples=chosen.min_slice_examples)
    return VersionComparison(
        names=names,
        metric=ordering,
        examples=len(examples),
        comparison=comparison,
        confidence=chosen.confidence,
        slices=tuple(slices),
        worse=tuple(_worse(examples, rows, samples, ordering)),
    )


def _worse(
    examples: Sequence[Example],
    rows: Mapping[str, Sequence[dict[str, Any]]],
    samples: Mapping[str, Mapping[str, Sample]],
    metric: str,
) -> Iterator[WorseExample]:
    gains = example_gains(samples, metric, BASE)
    for position in map(int, np.argsort(gains, kind="stable")):
        if not gains[position] < 0:
            return
        yield WorseExample(
            number=examples[position].index + 1,
            question=examples[position].question,
            reference=examples[position].reference,
            first=rows[BASE][position]["answers"][TUNED]["text"],
            second=rows[TUNED][position]["answers"][TUNED]["text"],
            loss=-float(gains[position]),
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


def _line(text: str) -> str:
    line = " ".join(text.split()) or "(no answer)"
    return line if len(line) <= _CHARACTERS_SHOWN else f"{line[:_CHARACTERS_SHOWN]}..."


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
        fact=row.get("fact", ""),
    )


def _samples(
    examples: Sequence[Example], rows: Sequence[dict[str, Any]], encoder: Path | None
) -> dict[str, Sample]:
    from doctune.evaluation.metrics import compute_metrics

    answers = [row["answers"][TUNED] for row in rows]
    _, samples = compute_metrics(
        {
            "predictions": [answer["text"] for answer in answers],
            "references": [example.reference for example in examples],
            "questions": [example.question for example in examples],
            "passages": [example.passage for example in examples],
        },
        encoder=encoder,
    )
    samples["perplexity"] = perplexity_sample(
        [answer["nll"] for answer in answers],
        [answer["reference_tokens"] for answer in answers],
        basis=digest_value([answer.get("reference_ids", "") for answer in answers]),
    )
    samples["bits_per_byte"] = bits_sample(
        [answer["nll"] for answer in answers],
        [len(example.reference.encode()) for example in examples],
    )
    return {name: samples[name] for name in METRICS if name in samples}
