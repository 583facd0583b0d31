"""Computes all metrics of all models, and the gains over base and champion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from doctune.digests import digest_value
from doctune.evaluation.answers import Answers
from doctune.evaluation.bootstrap import Bootstrap, Interval, p_value
from doctune.evaluation.catalog import METRICS, MetricInfo
from doctune.evaluation.perplexity import Likelihood
from doctune.evaluation.samples import (
    Floats,
    Sample,
    bits_sample,
    mean_sample,
    perplexity_sample,
)
from doctune.evaluation.test_set import Example

TUNED = "tuned"
BASE = "base"
CHAMPION = "champion"
# The tuned model in full precision, where another engine serves and is judged.
NATIVE = "native"


@dataclass(frozen=True, kw_only=True)
class Gain:
    """The tuned model's gain over an opponent by one metric; negative is worse."""

    metric: str
    opponent: str
    value: float
    interval: Interval
    p: float  # two-sided, of "there is no difference"
    p_corrected: float  # by Holm's method, over all that was compared with it


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
        """Returns the numbers under flat names, without undefined ones.

        `rouge_l_tuned`, `rouge_l_tuned_low`, `rouge_l_tuned_high` for values, `rouge_l_gain...`
        for gains over the base model and `rouge_l_champion_gain...` for those over others.
        """
        scores: dict[str, float] = {}
        for value in self.measured:
            _put(scores, f"{value.metric}_{value.model}", value.value, value.interval)
        return {**_finite(scores), **flat_gains(self.gains)}


def flat_gains(gains: Sequence[Gain]) -> dict[str, float]:
    """Returns gains with their intervals under flat names, without undefined ones.

    `METRIC_gain` over the base model, `METRIC_OPPONENT_gain` over others.
    """
    scores: dict[str, float] = {}
    for entry in gains:
        _put(scores, gain_key(entry.metric, entry.opponent), entry.value, entry.interval)
    return _finite(scores)


def gain_key(metric: str, opponent: str) -> str:
    """Returns the flat name of a gain."""
    return f"{metric}_gain" if opponent == BASE else f"{metric}_{opponent}_gain"


def gain(info: MetricInfo, tuned: Floats, opponent: Floats) -> Floats:
    """Returns how much better `tuned` is, in the metric's unit or, if relative, as a share."""
    difference = opponent - tuned if info.better == "lower" else tuned - opponent
    if not info.relative:
        return difference
    with np.errstate(invalid="ignore", divide="ignore"):
        return difference / opponent


def metric_of_examples(primary: str, samples: Mapping[str, Mapping[str, Sample]]) -> str:
    """Returns by what test examples are ordered: answers are counted on questions of their own."""
    return primary if primary in samples[TUNED] else "perplexity"


def example_gains(
    samples: Mapping[str, Mapping[str, Sample]], metric: str, opponent: str
) -> Floats:
    """Returns the tuned model's gain on each example; NaN if undefined.

    For perplexity it is the difference of the mean log-likelihood per token, in nats.
    """
    if metric not in samples[TUNED] or metric not in samples[opponent]:
        return np.full(len(samples[TUNED]["perplexity"].addends), np.nan)
    if samples[TUNED][metric].basis != samples[opponent][metric].basis:
        return np.full(len(samples[TUNED][metric].addends), np.nan)
    tuned, other = samples[TUNED][metric].each(), samples[opponent][metric].each()
    if metric == "perplexity":
        return np.log(other) - np.log(tuned)
    return other - tuned if METRICS[metric].better == "lower" else tuned - other


def model_samples(
    examples: Sequence[Example], answers: Answers, *, encoder: Path | None = None
) -> dict[str, Sample]:
    """Returns every metric of one model's answers to the test set."""
    from doctune.evaluation.metrics import compute_metrics

    _, samples = compute_metrics(
        {
            "predictions": answers.texts,
            "references": [example.reference for example in examples],
            "questions": [example.question for example in examples],
            "passages": [example.passage for example in examples],
        },
        encoder=encoder,
    )
    samples["perplexity"] = likelihood_sample(answers.likelihoods)
    samples["bits_per_byte"] = bits_sample(
        [likelihood.nll for likelihood in answers.likelihoods],
        [likelihood.size for likelihood in answers.likelihoods],
    )
    samples["latency"] = mean_sample(answers.latencies)
    return {name: samples[name] for name in METRICS if name in samples}


def likelihood_sample(likelihoods: Sequence[Likelihood]) -> Sample:
    """Returns the perplexity of likelihoods."""
    return perplexity_sample(
        [likelihood.nll for likelihood in likelihoods],
        [likelihood.tokens for likelihood in likelihoods],
        basis=digest_value([likelihood.ids for likelihood in likelihoods]),
    )


def compare(models: Mapping[str, Mapping[str, Sample]], bootstrap: Bootstrap) -> Comparison:
    """Compares the model named "tuned" with every other, by every metric that both have.

    Args:
        models: By model name, its samples by metric name; all of the same examples.
    """
    drawn = _resample(models, bootstrap)
    measured = [
        Measured(
            metric=metric,
            model=model,
            value=sample.value,
            interval=bootstrap.interval(drawn[model, metric], bootstrap.count(sample)),
        )
        for model, samples in models.items()
        for metric, sample in samples.items()
    ]
    return Comparison(
        models=tuple(models),
        measured=tuple(measured),
        gains=tuple(correct(_gains(models, drawn, bootstrap))),
    )


def gains_over(models: Mapping[str, Mapping[str, Sample]], bootstrap: Bootstrap) -> list[Gain]:
    """Returns the tuned model's gains, with uncorrected p-values."""
    return _gains(models, _resample(models, bootstrap), bootstrap)


def merge(comparisons: Sequence[Comparison]) -> Comparison:
    """Merges comparisons on different examples, with p-values corrected over all of them."""
    models = dict.fromkeys(model for part in comparisons for model in part.models)
    return Comparison(
        models=tuple(models),
        measured=tuple(entry for part in comparisons for entry in part.measured),
        gains=tuple(correct([entry for part in comparisons for entry in part.gains])),
    )


def correct(gains: Sequence[Gain]) -> list[Gain]:
    """Returns the gains with p-values corrected by Holm's method."""
    order = sorted(range(len(gains)), key=lambda index: gains[index].p)
    corrected: dict[int, Gain] = {}
    least = 0.0
    for rank, index in enumerate(order):
        least = max(least, min(1.0, gains[index].p * (len(gains) - rank)))
        corrected[index] = replace(gains[index], p_corrected=least)
    return [corrected[index] for index in range(len(gains))]


def _resample(
    models: Mapping[str, Mapping[str, Sample]], bootstrap: Bootstrap
) -> dict[tuple[str, str], Floats]:
    named = {
        (model, metric): sample
        for model, samples in models.items()
        for metric, sample in samples.items()
    }
    return bootstrap.distributions(named)


def _gains(
    models: Mapping[str, Mapping[str, Sample]],
    drawn: Mapping[tuple[str, str], Floats],
    bootstrap: Bootstrap,
) -> list[Gain]:
    gains = []
    for opponent in models:
        for metric, sample in models[TUNED].items():
            if opponent == TUNED or metric not in models[opponent]:
                continue
            if sample.basis != models[opponent][metric].basis:
                continue
            info = METRICS[metric]
            spread = gain(info, drawn[TUNED, metric], drawn[opponent, metric])
            value = gain(info, np.array(sample.value), np.array(models[opponent][metric].value))
            count = bootstrap.count(sample, models[opponent][metric])
            p = p_value(spread, count)
            gains.append(
                Gain(
                    metric=metric,
                    opponent=opponent,
                    value=float(value),
                    interval=bootstrap.interval(spread, count),
                    p=p,
                    p_corrected=p,
                )
            )
    return gains


def _finite(scores: Mapping[str, float]) -> dict[str, float]:
    return {name: number for name, number in scores.items() if np.isfinite(number)}


def _put(scores: dict[str, float], name: str, value: float, interval: Interval) -> None:
    scores[name] = value
    scores[f"{name}_low"] = interval.low
    scores[f"{name}_high"] = interval.high
