"""From answers to numbers: every metric of every model, and the gains over base and champion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from doctune.evaluation.answers import Answers
from doctune.evaluation.bootstrap import Bootstrap, Interval, p_value
from doctune.evaluation.catalog import METRICS, MetricInfo
from doctune.evaluation.samples import Floats, Sample, perplexity_sample
from doctune.evaluation.test_set import Example

TUNED = "tuned"
BASE = "base"
CHAMPION = "champion"


@dataclass(frozen=True, kw_only=True)
class Gain:
    """How much better the tuned model is than an opponent by one metric; negative is worse."""

    metric: str
    opponent: str
    value: float
    interval: Interval
    p: float


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One metric of one model."""

    metric: str
    model: str
    value: float
    interval: Interval


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All metrics of all models on one test set."""

    models: tuple[str, ...]
    measured: tuple[Measured, ...]
    gains: tuple[Gain, ...]

    def flat(self) -> dict[str, float]:
        """Returns the numbers under flat names; what is undefined is left out.

        `rouge_l_tuned`, `rouge_l_tuned_low`, `rouge_l_tuned_high` for values, `rouge_l_gain...`
        for gains over the base model and `rouge_l_champion_gain...` for those over others.
        """
        scores: dict[str, float] = {}
        for value in self.measured:
            _put(scores, f"{value.metric}_{value.model}", value.value, value.interval)
        for gain in self.gains:
            _put(scores, gain_key(gain.metric, gain.opponent), gain.value, gain.interval)
        return {name: number for name, number in scores.items() if np.isfinite(number)}


def gain_key(metric: str, opponent: str) -> str:
    """Returns the flat name of a gain."""
    return f"{metric}_gain" if opponent == BASE else f"{metric}_{opponent}_gain"


def gain(info: MetricInfo, tuned: Floats, opponent: Floats) -> Floats:
    """Returns how much better `tuned` is, in the metric's unit or as a share where relative."""
    difference = tuned - opponent if info.better == "higher" else opponent - tuned
    if not info.relative:
        return difference
    with np.errstate(invalid="ignore", divide="ignore"):
        return difference / opponent


def model_samples(examples: Sequence[Example], answers: Answers) -> dict[str, Sample]:
    """Returns every metric of one model's answers."""
    from doctune.evaluation.metrics import compute_text_metrics

    _, samples = compute_text_metrics(answers.texts, [example.reference for example in examples])
    samples["perplexity"] = perplexity_sample(
        [likelihood.nll for likelihood in answers.likelihoods],
        [likelihood.tokens for likelihood in answers.likelihoods],
    )
    return {name: samples[name] for name in METRICS if name in samples}


def compare(models: Mapping[str, Mapping[str, Sample]], bootstrap: Bootstrap) -> Comparison:
    """Compares the model named "tuned" with every other, by every metric that both have.

    Args:
        models: By model name, its samples by metric name.
    """
    named = {
        (model, metric): sample
        for model, samples in models.items()
        for metric, sample in samples.items()
    }
    drawn = dict(
        zip(
            named,
            bootstrap.distributions(
                {f"{model}/{metric}": sample for (model, metric), sample in named.items()}
            ).values(),
            strict=True,
        )
    )
    measured = [
        Measured(
            metric=metric,
            model=model,
            value=sample.value,
            interval=bootstrap.interval(drawn[model, metric]),
        )
        for (model, metric), sample in named.items()
    ]
    gains = []
    for opponent in models:
        for metric, sample in models[TUNED].items():
            if opponent == TUNED or metric not in models[opponent]:
                continue
            info = METRICS[metric]
            spread = gain(info, drawn[TUNED, metric], drawn[opponent, metric])
            value = gain(info, np.array(sample.value), np.array(models[opponent][metric].value))
            gains.append(
                Gain(
                    metric=metric,
                    opponent=opponent,
                    value=float(value),
                    interval=bootstrap.interval(spread),
                    p=p_value(spread),
                )
            )
    return Comparison(models=tuple(models), measured=tuple(measured), gains=tuple(gains))


def _put(scores: dict[str, float], name: str, value: float, interval: Interval) -> None:
    scores[name] = value
    scores[f"{name}_low"] = interval.low
    scores[f"{name}_high"] = interval.high
