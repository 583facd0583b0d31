"""The metrics behind the interface of Hugging Face's `evaluate`, implemented here: no hub.

`combined_metrics().compute(predictions=..., references=...)` is what `evaluate_model` reports.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from typing import Any

import datasets
import evaluate

from doctune.evaluation import text_metrics
from doctune.evaluation.samples import Sample


class _TextMetric(evaluate.Metric):
    """A metric of texts against one reference text each."""

    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=self.__doc__ or "",
            citation="",
            inputs_description="predictions, references: one text an example.",
            features=datasets.Features({"predictions": text, "references": text}),
        )

    def _compute(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
        samples = self.samples(predictions, references)
        return {name: sample.value for name, sample in samples.items()}

    def samples(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, Sample]:
        """Returns what each example adds to the metric."""
        raise NotImplementedError


class ExactMatch(_TextMetric):
    """Share of answers equal to the reference once normalized as SQuAD does, 0 to 1."""

    def samples(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, Sample]:
        """Returns 1 or 0 an example."""
        return text_metrics.exact_match_samples(predictions, references)


class TokenF1(_TextMetric):
    """Mean F1 of the words that answer and reference share, SQuAD's way, 0 to 1."""

    def samples(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, Sample]:
        """Returns the F1 of each example."""
        return text_metrics.token_f1_samples(predictions, references)


class Rouge(_TextMetric):
    """Mean F-measures of ROUGE-1, ROUGE-2 and ROUGE-L (rouge_score, no stemming), 0 to 1."""

    def samples(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, Sample]:
        """Returns the F-measures of each example."""
        return text_metrics.rouge_samples(predictions, references)


class Chrf(_TextMetric):
    """Corpus chrF by sacrebleu, 0 to 100."""

    def samples(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, Sample]:
        """Returns the n-gram counts of each example."""
        return text_metrics.chrf_samples(predictions, references)


class Bleu(_TextMetric):
    """Corpus BLEU-4 by sacrebleu, 0 to 100."""

    def samples(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, Sample]:
        """Returns the n-gram counts of each example."""
        return text_metrics.bleu_samples(predictions, references)


TEXT_METRICS: tuple[type[_TextMetric], ...] = (ExactMatch, TokenF1, Rouge, Chrf, Bleu)


def compute_text_metrics(
    predictions: Sequence[str], references: Sequence[str]
) -> tuple[dict[str, float], dict[str, Sample]]:
    """Returns each metric of the answers, and what each example adds to it."""
    with tempfile.TemporaryDirectory(prefix="doctune-metrics-") as folder:
        metrics: list[Any] = [
            metric(keep_in_memory=True, cache_dir=folder) for metric in TEXT_METRICS
        ]
        combined = evaluate.combine(metrics)
        values = combined.compute(predictions=list(predictions), references=list(references))
    samples: dict[str, Sample] = {}
    for metric in metrics:
        samples.update(metric.samples(predictions, references))
    return {name: float(value) for name, value in values.items()}, samples
