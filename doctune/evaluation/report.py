"""Renders the HTML report: one self-contained file.

It leads with how many questions are answered right and the verdict with every rule behind it, shows
each wrong answer beside passage and page, then metrics with intervals, differences,
slices, latency and the training curve, then each example side by side with its source passage, and
ends with the provenance. It needs no network, supports printing, dark mode and keyboard use, and
without JavaScript lacks only the search.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from doctune.evaluation import plots
from doctune.evaluation.answers import Answers
from doctune.evaluation.catalog import METRICS, MetricInfo
from doctune.evaluation.comparison import TUNED, example_gains, metric_of_examples
from doctune.evaluation.quiz_comparison import wrong_answers
from doctune.evaluation.quiz_scores import QuizResult
from doctune.evaluation.samples import Floats, Sample
from doctune.evaluation.score_card import ProductAnswers, ScoreCard, StoredGain, StoredSlice
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
_DIRECTIONS = {"higher": "higher is better", "lower": "lower is better", "neither": ""}


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """The data of a report."""

    card: ScoreCard
    verdict: Verdict
    examples: Sequence[Example]
    answers: Mapping[str, Answers]
    samples: Mapping[str, Mapping[str, Sample]]
    training: Mapping[str, Any]
    quiz: QuizResult
    product: ProductAnswers


def render_report(data: ReportData) -> str:
    """Returns the report's HTML."""
    from jinja2 import Environment, PackageLoader

    environment = Environment(
        loader=PackageLoader("doctune.evaluation", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = environment.get_template("script.html").render()
    digest = hashlib.sha256(script.encode()).digest()
    card = data.card
    opponents = [model for model in card.models if model != TUNED]
    return environment.get_template("report.html").render(
        script_hash=f"sha256-{base64.b64encode(digest).decode()}",
        title=OUTCOME_TITLES[data.verdict.outcome],
        verdict=data.verdict,
        card=card,
        confidence=f"{card.confidence:.0%}",
        opponents=opponents,
        primary=METRICS[card.primary_metric],
        by_example=METRICS[metric_of_examples(card.primary_metric, data.samples)],
        rows=_metric_rows(card, opponents),
        differences=_difference_plots(data, opponents),
        slices=_slice_rows(card, opponents),
        latencies=_latency_rows(data),
        latency_plot=plots.lines(
            {name: plots.cumulative(given.latencies) for name, given in data.answers.items()},
            x="s",
            label="Share of answers that were complete after so many seconds",
        ),
        curve=_training_curve(data.training),
        wrong=_wrong_rows(data.quiz),
        kinds=sorted({example.kind for example in data.examples if example.kind}),
        examples=_example_rows(data),
    )


def _metric_rows(card: ScoreCard, opponents: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {
            "info": info,
            "direction": _DIRECTIONS[info.better],
            "values": [_value_cell(card, info, model) for model in card.models],
            "gains": [
                _gain_cell(card, info, card.gains.get(opponent, {}).get(info.name))
                for opponent in opponents
            ],
        }
        for info in METRICS.values()
        if any(f"{info.name}_{model}" in card.scores for model in card.models)
    ]


def _wrong_rows(result: QuizResult) -> list[dict[str, Any]]:
    """Returns each question that the product answers wrong, beside passage and page."""
    rows = []
    for number, marked in wrong_answers(result):
        item = result.quiz.items[number]
        question = item.question
        cited = marked.cited[0] if marked.cited else None
        faults = [f"missing: {fact}" for fact in marked.grade.missing]
        faults += [f"contradicted: {said}" for said in marked.grade.contradicted]
        if marked.grade.refused:
            faults = ["refused"]
        elif question.expects == "refusal":
            faults = ["the documents do not say"]
        rows.append(
            {
                "number": number + 1,
                "question": question,
                "answer": marked.text,
                "faults": "; ".join(faults),
                "place": _place(question.source, question.page),
                "truth": item.truth.text if item.truth else question.fact,
                "cited": cited.text if cited else "",
                "cited_place": _place(cited.file, cited.pages[0]) if cited and cited.pages else "",
            }
        )
    return rows


def _place(file: str, page: int) -> str:
    return f"{file}, page {page}" if file and page else file


def _value_cell(card: ScoreCard, info: MetricInfo, model: str) -> dict[str, str]:
    name = f"{info.name}_{model}"
    value, low, high = (card.scores.get(f"{name}{end}") for end in ("", "_low", "_high"))
    if value is None or low is None or high is None:
        return {"text": "", "range": ""}
    return {
        "text": f"{value:.{info.digits}f}",
        "range": f"{low:.{info.digits}f} to {high:.{info.digits}f}",
    }


def _gain_cell(
    card: ScoreCard, info: MetricInfo, gain: StoredGain | None, reach: float | None = None
) -> dict[str, Any]:
    if gain is None:
        return {"text": "", "range": "", "plot": "", "side": ""}
    side = "good" if gain.low > 0 else "bad" if gain.high < 0 else "level"
    if info.better == "neither":
        side = "level"
    mark = " *" if gain.p_corrected < 1 - card.confidence and side != "level" else ""
    reach = reach or max(abs(gain.low), abs(gain.high), 1e-9) * 1.15
    return {
        "text": f"{_signed(info, gain.value)}{mark}",
        "range": f"{format_gain(info, gain.low)} to {format_gain(info, gain.high)}",
        "plot": plots.whisker(gain.value, gain.low, gain.high, reach, side),
        "side": side,
    }


def _signed(info: MetricInfo, gain: float) -> str:
    text = format_gain(info, gain)
    return f"+{text}" if text.strip("-0. %") and gain > 0 else text


def _difference_plots(data: ReportData, opponents: Sequence[str]) -> list[dict[str, Any]]:
    metric = metric_of_examples(data.card.primary_metric, data.samples)
    found = []
    for opponent in opponents:
        gains = example_gains(data.samples, metric, opponent)
        label = f"{METRICS[metric].title}: difference of each example from {opponent}"
        found.append(
            {
                "opponent": opponent,
                "svg": plots.histogram(list(gains), label=label),
                "better": int((gains > 0).sum()),
                "worse": int((gains < 0).sum()),
            }
        )
    return found


def _slice_rows(card: ScoreCard, opponents: Sequence[str]) -> list[dict[str, Any]]:
    info = METRICS[card.primary_metric]

    def gain(part: StoredSlice, opponent: str) -> StoredGain | None:
        return part.gains.get(opponent, {}).get(info.name)

    def worst(part: StoredSlice) -> float:
        known = [found.value for opponent in opponents if (found := gain(part, opponent))]
        return min(known, default=np.inf)

    ends = [
        abs(end)
        for part in card.slices
        for opponent in opponents
        if (found := gain(part, opponent))
        for end in (found.low, found.high)
    ]
    # The same scale for all slices, so that they can be compared visually.
    reach = float(np.quantile(ends, 0.9)) * 1.1 if ends else None
    return [
        {
            "name": part.name,
            "examples": part.examples,
            "gains": [
                _gain_cell(card, info, gain(part, opponent), reach) for opponent in opponents
            ],
        }
        for part in sorted(card.slices, key=worst)
    ]


def _latency_rows(data: ReportData) -> list[dict[str, str]]:
    rows = []
    for model, given in data.answers.items():
        median, high = np.quantile(given.latencies, [0.5, 0.95])
        rows.append(
            {
                "model": model,
                "median": f"{median:.2f} s",
                "high": f"{high:.2f} s",
                "speed": f"{given.tokens_per_second:.0f}",
                "words": f"{data.card.scores.get(f'answer_words_{model}', 0):.1f}",
            }
        )
    return rows


def _training_curve(training: Mapping[str, Any]) -> Markup | str:
    """Returns the loss curve from training.json, or "" if there is none."""
    curve = training.get("curve")
    if not isinstance(curve, dict):
        return ""
    train = [
        (float(step + 1), float(loss))
        for step, loss in enumerate(curve.get("train") or [])
        if isinstance(loss, int | float)
    ]
    validation = [
        (float(point["step"]), float(point["loss"]))
        for point in curve.get("validation") or []
        if isinstance(point, dict) and {"step", "loss"} <= set(point)
    ]
    return plots.lines(
        {"training loss": train, "validation loss": validation}, x="steps", label="Loss by step"
    )


def _example_rows(data: ReportData) -> list[dict[str, Any]]:
    """Returns the examples, those with the largest loss against the champion (or base) first."""
    metric = metric_of_examples(data.card.primary_metric, data.samples)
    gains = example_gains(data.samples, metric, data.card.opponents[-1])
    order = np.argsort(np.where(np.isnan(gains), np.inf, gains), kind="stable")
    info = METRICS[metric]
    each = {
        model: samples[metric].each() if metric in samples else None
        for model, samples in data.samples.items()
    }
    rows = []
    for position in map(int, order):
        example = data.examples[position]
        pages = example.source.get("pages")
        pages = ", ".join(map(str, pages)) if isinstance(pages, list) else ""
        source = example.document + (f", page {pages}" if pages else "")
        facts = [f"example {example.index + 1}", example.kind and f"kind {example.kind}", source]
        gain = float(gains[position])
        rows.append(
            {
                "number": example.index + 1,
                "example": example,
                "source": source,
                "facts": ", ".join(fact for fact in facts if fact),
                "side": "worse" if gain < 0 else "better" if gain > 0 else "same",
                "answers": [
                    {
                        "model": model,
                        "text": data.answers[model].completions[position].text,
                        "score": _score(info, each[model], position),
                    }
                    for model in data.card.models
                ],
            }
        )
    return rows


def _score(info: MetricInfo, values: Floats | None, position: int) -> str:
    if values is None or not np.isfinite(values[position]):
        return ""
    return f"{info.title} {values[position]:.{info.digits}f}"
