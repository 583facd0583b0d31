"""May the model be released? One decision from the scores, with its reason in one sentence.

The model must beat the base model and, where there is one, the champion: by at least `min_gain`
of the primary metric, with an interval that excludes zero. A difference that could be chance, or
is too small, is a tie and is not released.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from doctune.evaluation.bootstrap import Interval
from doctune.evaluation.catalog import METRICS, MetricInfo
from doctune.evaluation.comparison import BASE, CHAMPION, gain_key
from doctune.evaluation.options import EvaluationOptions

Outcome = Literal["win", "lose", "tie", "no_incumbent", "missing_metric", "too_few_examples"]

_OPPONENTS = {BASE: "the base model", CHAMPION: "the champion"}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The decision. Only "win" and "no_incumbent" pass."""

    outcome: Outcome
    reason: str

    @property
    def passed(self) -> bool:
        """Whether the model may be released."""
        return self.outcome in ("win", "no_incumbent")


def decide(
    scores: Mapping[str, float], *, examples: int, has_champion: bool, options: EvaluationOptions
) -> Verdict:
    """Decides on flat scores, as `Comparison.flat` names them.

    Args:
        examples: How many test examples the scores are of.
        has_champion: Whether there is an incumbent to beat as well.
    """
    info = METRICS[options.primary_metric]
    if examples < options.min_examples:
        return Verdict(
            outcome="too_few_examples",
            reason=f"The test set has {examples} examples, and a decision needs at least "
            f"{options.min_examples}.",
        )
    standings = []
    for opponent in [BASE, CHAMPION] if has_champion else [BASE]:
        standing = _standing(scores, info, opponent, options)
        if standing is None:
            return Verdict(
                outcome="missing_metric",
                reason=f"{info.title} could not be compared with {_OPPONENTS[opponent]}, and the "
                "decision rests on it.",
            )
        standings.append(standing)
    return _verdict(standings, has_champion)


@dataclass(frozen=True)
class _Standing:
    side: Literal["ahead", "level", "behind"]
    text: str


def _standing(
    scores: Mapping[str, float], info: MetricInfo, opponent: str, options: EvaluationOptions
) -> _Standing | None:
    key = gain_key(info.name, opponent)
    names = (key, f"{key}_low", f"{key}_high", f"{info.name}_tuned", f"{info.name}_{opponent}")
    numbers = [scores.get(name, math.nan) for name in names]
    if not all(math.isfinite(number) for number in numbers):
        return None
    gain, low, high, tuned, other = numbers
    interval = Interval(low, high)
    text = (
        f"{describe_gain(info, gain)} than {_OPPONENTS[opponent]} "
        f"({tuned:.{info.digits}f} against {other:.{info.digits}f}; "
        f"{describe_interval(info, interval, options.confidence)})"
    )
    if high < 0:
        return _Standing("behind", text)
    if low <= 0:
        return _Standing("level", f"{text}, which could be chance")
    if gain < options.min_gain:
        least = format_gain(info, options.min_gain)
        return _Standing("level", f"{text}, less than the least gain of {least}")
    return _Standing("ahead", text)


def _verdict(standings: Sequence[_Standing], has_champion: bool) -> Verdict:
    behind = [standing.text for standing in standings if standing.side == "behind"]
    level = [standing.text for standing in standings if standing.side == "level"]
    if behind:
        return Verdict(outcome="lose", reason=f"{' and '.join(behind)}.")
    if level:
        return Verdict(outcome="tie", reason=f"{' and '.join(level)}.")
    reason = " and ".join(standing.text for standing in standings)
    if has_champion:
        return Verdict(outcome="win", reason=f"{reason}.")
    return Verdict(outcome="no_incumbent", reason=f"{reason}; there is no champion to beat.")


def describe_gain(info: MetricInfo, gain: float) -> str:
    """Says a gain in words: "Perplexity is 12.0 % lower"."""
    up = (gain >= 0) == (info.better == "higher")
    amount = format_gain(info, abs(gain))
    return f"{info.title} is {amount} {'higher' if up else 'lower'}"


def describe_interval(info: MetricInfo, interval: Interval, confidence: float) -> str:
    """Says a gain's interval in words."""
    low, high = format_gain(info, interval.low), format_gain(info, interval.high)
    return f"gain, {confidence:.0%} interval: {low} to {high}"


def format_gain(info: MetricInfo, gain: float) -> str:
    """Returns a gain as people read it: a percentage where it is relative."""
    if info.relative:
        return f"{gain:.1%}".replace("%", " %")
    return f"{gain:.{info.digits}f}"
