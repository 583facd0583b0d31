"""The metrics, with the interface of Hugging Face's `evaluate`; nothing is loaded from a hub.

Each is an `evaluate.Metric`; `evaluate_model` reports the results of their `evaluate.combine`. The
same classes return the contribution of each example (`samples`), from which intervals are computed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import datasets
import evaluate

from doctune.evaluation import behaviour, text_metrics
from doctune.evaluation.samples import Sample, mean_sample

Texts = Sequence[str]


class TextMetric(evaluate.Metric):
    """A metric of texts. `inputs` lists the columns that it uses."""

    inputs: ClassVar[tuple[str, ...]] = ("predictions", "references")

    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=self.__doc__ or "",
            citation="",
            inputs_description=f"{', '.join(self.inputs)}: one text an example.",
            features=datasets.Features(dict.fromkeys(self.inputs, text)),
        )

    def _compute(self, **columns: Texts) -> dict[str, float]:
        samples = self.samples(*(columns[name] for name in self.inputs))
        return {name: sample.value for name, sample in samples.items()}

    def samples(self, *columns: Texts) -> dict[str, Sample]:
        """Returns each example's contribution to each of the metric's numbers."""
        raise NotImplementedError


class ExactMatch(TextMetric):
    """Share of answers equal to the reference once normalized as SQuAD does, 0 to 1."""

    def samples(self, *columns: Texts) -> dict[str, Sample]:
        """Returns 1 or 0 an example."""
        return text_metrics.exact_match_samples(*columns)


class TokenF1(TextMetric):
    """Mean word F1 of answer and reference as in SQuAD, 0 to 1."""

    def samples(self, *columns: Texts) -> dict[str, Sample]:
        """Returns the F1 of each example."""
        return text_metrics.token_f1_samples(*columns)


class Rouge(TextMetric):
    """Mean F-measures of ROUGE-1, ROUGE-2 and ROUGE-L (rouge_score, no stemming), 0 to 1."""

    def samples(self, *columns: Texts) -> dict[str, Sample]:
        """Returns the F-measures of each example."""
        return text_metrics.rouge_samples(*columns)


class Chrf(TextMetric):
    """Corpus chrF by sacrebleu, 0 to 100."""

    def samples(self, *columns: Texts) -> dict[str, Sample]:
        """Returns the n-gram counts of each example."""
        return text_metrics.chrf_samples(*columns)


class Bleu(TextMetric):
    """Corpus BLEU-4 by sacrebleu, 0 to 100."""

    def samples(self, *columns: Texts) -> dict[str, Sample]:
        """Returns the n-gram counts of each example."""
        return text_metrics.bleu_samples(*columns)


class Behaviour(TextMetric):
    """Shares of refusals and repetitive answers, 0 to 1, and the mean length in words."""

    inputs = ("predictions",)

    def samples(self, *columns: Texts) -> dict[str, Sample]:
        """Returns refusal, repetition and length of each answer."""
        (answers,) = columns
        return {
            "refusal_rate": mean_sample([float(behaviour.is_refusal(text)) for text in answers]),
            "repetition_rate": mean_sample(
                [float(behaviour.is_repetitive(text)) for text in answers]
            ),
            "answer_words": mean_sample([float(behaviour.count_words(text)) for text in answers]),
        }


class Faithfulness(TextMetric):
    """Mean share of what answers add to the question that is in the source passage, 0 to 1."""

    inputs = ("predictions", "questions", "passages")

    def samples(self, *columns: Texts) -> dict[str, Sample]:
        """Returns the share of each example; those without a passage are left out."""
        rows = zip(*columns, strict=True)
        return {"faithfulness": mean_sample([behaviour.faithfulness(*row) for row in rows])}


class Similarity(TextMetric):
    """Mean cosine of sentence embeddings of answer and reference, -1 to 1."""

    def __init__(self, *, encoder: Path, **more: Any) -> None:
        self._encoder = encoder
        super().__init__(**more)

    def samples(self, *columns: Texts) -> dict[str, Sample]:
        """Returns the cosine of each example."""
        from doctune.evaluation.similarity import similarities

        return {"similarity": mean_sample(similarities(*columns, folder=self._encoder))}


TEXT_METRICS: tuple[type[TextMetric], ...] = (
    TokenF1,
    Rouge,
    ExactMatch,
    Chrf,
    Bleu,
    Faithfulness,
    Behaviour,
)


def compute_metrics(
    columns: Mapping[str, Texts], *, encoder: Path | None = None
) -> tuple[dict[str, float], dict[str, Sample]]:
    """Returns all metrics of the answers, and each example's contributions.

    Args:
        columns: One text per example: predictions, references, questions, passages.
        encoder: The sentence encoder's folder; None skips semantic similarity.
    """
    with tempfile.TemporaryDirectory(prefix="doctune-metrics-") as folder:
        place: dict[str, Any] = {"keep_in_memory": True, "cache_dir": folder}
        metrics: list[Any] = [metric(**place) for metric in TEXT_METRICS]
        if encoder is not None:
            metrics.append(Similarity(encoder=encoder, **place))
        combined = evaluate.combine(metrics)
        combined.add_batch(**{name: list(texts) for name, texts in columns.items()})
        values = combined.compute()
        samples: dict[str, Sample] = {}
        for metric in metrics:
            samples.update(metric.samples(*(columns[name] for name in metric.inputs)))
    return {name: float(value) for name, value in values.items()}, samples
