"""The report that people read: one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from doctune.evaluation import plots
from doctune.evaluation.answers import Answers
from doctune.evaluation.catalog import METRICS, MetricInfo
from doctune.evaluation.comparison import BASE, TUNED, Comparison, Gain, Measured
from doctune.evaluation.samples import Floats, Sample
from doctune.evaluation.test_set import Example
from doctune.evaluation.verdict import Verdict, format_gain

OUTCOME_TITLES = {
    "win": "Better than base and champion: may be released",
    "no_incumbent": "Better than base, and there is no champion: may be released",
    "tie": "No better: not released",
    "lose": "Worse: not released",
    "missing_metric": "Not decided, a metric is missing: not released",
    "too_few_examples": "Not decided, too few examples: not released",
}


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """All that a report shows."""

    verdict: Verdict
    comparison: Comparison
    primary_metric: str
    examples: Sequence[Example]
    answers: Mapping[str, Answers]
    samples: Mapping[str, Mapping[str, Sample]]
    provenance: Mapping[str, str]


def render_report(data: ReportData) -> str:
    """Returns the report's HTML."""
    from jinja2 import Environment, PackageLoader

    environment = Environment(
        loader=PackageLoader("doctune.evaluation", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    differences = example_gains(data.samples, data.primary_metric, BASE)
    primary = METRICS[data.primary_metric]
    return environment.get_template("report.html").render(
        title=OUTCOME_TITLES[data.verdict.outcome],
        verdict=data.verdict,
        models=data.comparison.models,
        opponents=[model for model in data.comparison.models if model != TUNED],
        rows=_metric_rows(data.comparison),
        primary=primary,
        histogram=plots.histogram(
            list(differences), label=f"{primary.title}: difference of each example from base"
        ),
        worse=int((differences < 0).sum()),
        better=int((differences > 0).sum()),
        examples=_example_rows(data, differences),
        provenance=data.provenance,
    )


def example_gains(
    samples: Mapping[str, Mapping[str, Sample]], metric: str, opponent: str
) -> Floats:
    """Returns, for each example, how much better the tuned model is; NaN where undefined.

    Perplexity is compared per example by the mean log-likelihood of a token, in nats.
    """
    tuned, other = samples[TUNED][metric].each(), samples[opponent][metric].each()
    if metric == "perplexity":
        return np.log(other) - np.log(tuned)
    return tuned - other if METRICS[metric].better == "higher" else other - tuned


def _metric_rows(comparison: Comparison) -> list[dict[str, Any]]:
    values = {(entry.metric, entry.model): entry for entry in comparison.measured}
    gains = {(entry.metric, entry.opponent): entry for entry in comparison.gains}
    rows = []
    for info in METRICS.values():
        cells = [values.get((info.name, model)) for model in comparison.models]
        if not any(cells):
            continue
        rows.append(
            {
                "info": info,
                "values": [_value_cell(info, cell) for cell in cells],
                "gains": [
                    _gain_cell(info, gains.get((info.name, model)))
                    for model in comparison.models
                    if model != TUNED
                ],
            }
        )
    return rows


def _value_cell(info: MetricInfo, entry: Measured | None) -> dict[str, str]:
    if entry is None or not np.isfinite(entry.value):
        return {"text": "", "range": ""}
    return {
        "text": f"{entry.value:.{info.digits}f}",
        "range": f"{entry.interval.low:.{info.digits}f} to {entry.interval.high:.{info.digits}f}",
    }


def _gain_cell(info: MetricInfo, entry: Gain | None) -> dict[str, Any]:
    if entry is None or not np.isfinite(entry.value):
        return {"text": "", "range": "", "plot": ""}
    low, high = entry.interval.low, entry.interval.high
    reach = max(abs(low), abs(high), 1e-9) * 1.15
    return {
        "text": ("+" if entry.value > 0 else "") + format_gain(info, entry.value),
        "range": f"{format_gain(info, low)} to {format_gain(info, high)}",
        "plot": plots.whisker(entry.value, low, high, reach),
    }


def _example_rows(data: ReportData, differences: Floats) -> list[dict[str, Any]]:
    """Returns the examples, those that got worst first."""
    order = np.argsort(np.where(np.isnan(differences), np.inf, differences), kind="stable")
    return [
        {
            "number": data.examples[position].index + 1,
            "example": data.examples[position],
            "difference": float(differences[position]),
            "answers": [
                {"model": model, "completion": data.answers[model].completions[position]}
                for model in data.comparison.models
            ],
        }
        for position in map(int, order)
    ]
