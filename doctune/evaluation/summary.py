"""A short summary of an evaluation in Markdown, for pull requests and model cards."""

from __future__ import annotations

from doctune.evaluation.catalog import METRICS
from doctune.evaluation.comparison import TUNED
from doctune.evaluation.report import OUTCOME_TITLES
from doctune.evaluation.score_card import ScoreCard
from doctune.evaluation.verdict import Verdict, format_gain


def render_summary(card: ScoreCard, verdict: Verdict) -> str:
    """Returns verdict, reason, the table of metrics and the worst slice."""
    opponents = [model for model in card.models if model != TUNED]
    head = ["metric", *card.models, *(f"gain over {name}" for name in opponents)]
    lines = [
        *([f"**{card.product.sentence}.**", ""] if card.product else []),
        f"## {OUTCOME_TITLES[verdict.outcome]}",
        "",
        verdict.reason,
        "",
        *([f"**This run was capped:** {'; '.join(card.caps)}.", ""] if card.caps else []),
        f"| {' | '.join(head)} |",
        f"|---|{'---:|' * (len(head) - 1)}",
    ]
    for info in METRICS.values():
        values = [card.scores.get(f"{info.name}_{model}") for model in card.models]
        if all(value is None for value in values):
            continue
        cells = [f"**{info.title}**" if info.name == card.primary_metric else info.title]
        cells += ["" if value is None else f"{value:.{info.digits}f}" for value in values]
        for opponent in opponents:
            gain = card.gains.get(opponent, {}).get(info.name)
            cells.append(
                f"{format_gain(info, gain.value)} ({format_gain(info, gain.low)} to "
                f"{format_gain(info, gain.high)})"
                if gain
                else ""
            )
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        f"{card.examples} examples, {card.confidence:.0%} intervals; worst slice: "
        f"{card.worst_slice or 'none large enough'}; test set {card.test_digest[:12]}.",
        "",
    ]
    return "\n".join(lines)
