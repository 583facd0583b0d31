"""Decides whether a model may be released, by a policy on the score card, with a reason.

The model must beat the base model and, where there is one, the champion: by at least `min_gain` of
the primary metric, with an interval that excludes zero. It must keep to the guardrails and the
required slices, and must not have got worse beyond chance on any slice. The rules, in the order in
which they decide:

1. too few examples, or a required slice with too few: `too_few_examples`
2. a metric that a rule needs is missing: `missing_metric`
3. worse than base or champion, a guardrail or a bound broken, the product's answers below the
   floor, a slice got worse, the engine that serves loses right answers: `lose`
4. a difference that could be chance, or is less than `min_gain`: `tie` (a first release may be
   content with any gain: `first_release: better`)
5. otherwise `win`, or `no_incumbent` where there is no champion. Only these two pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from doctune.evaluation.catalog import METRICS, MetricInfo
from doctune.evaluation.comparison import BASE, CHAMPION, NATIVE, TUNED
from doctune.evaluation.options import (
    AnswerBounds,
    EvaluationOptions,
    Guardrail,
    RequiredSlice,
)
from doctune.evaluation.score_card import ProductAnswers, ScoreCard, StoredGain, StoredSlice

Outcome = Literal["win", "lose", "tie", "no_incumbent", "missing_metric", "too_few_examples"]

PASSING = ("win", "no_incumbent")
_SEVERITY: tuple[Outcome, ...] = ("too_few_examples", "missing_metric", "lose", "tie", "win")
_OPPONENTS = {BASE: "the base model", CHAMPION: "the champion"}
# What decides against a champion whose product gives the very same answers, as two do that quote:
# what releasing the model would change.
_NEXT = {"answer_accuracy": "answer_accuracy_closed"}
# Right answers that an engine may lose: the product's, and the model's own, which it may not use.
_ENGINE_METRICS = ("answer_accuracy", "answer_accuracy_closed")


@dataclass(frozen=True, kw_only=True)
class Check:
    """The result of one rule of the policy."""

    rule: str
    outcome: Outcome  # "win" where the rule holds
    text: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The decision, its reason, and the results of all rules."""

    outcome: Outcome
    reason: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether the model may be released."""
        return self.outcome in PASSING


def decide(card: ScoreCard, options: EvaluationOptions) -> Verdict:
    """Applies the policy in `options` to the numbers of an evaluation."""
    verdict = _decide(card, options)
    if not card.fairness:
        return verdict
    note = f"{card.fairness[:1].upper()}{card.fairness[1:]}."
    return replace(verdict, reason=f"{verdict.reason} {note}")


def _decide(card: ScoreCard, options: EvaluationOptions) -> Verdict:
    checks = tuple(_checks(card, options))
    worst: Outcome = min((check.outcome for check in checks), key=_SEVERITY.index)
    deciding = [check for check in checks if check.outcome == worst]
    if worst == "lose":
        # The reason includes the good results, since a regression may hide behind an average.
        good = [check for check in checks if check.outcome == "win" and check.rule == "primary"]
        texts = [check.text for check in deciding]
        reason = _joined(texts)
        if good and not any(check.rule == "primary" for check in deciding):
            reason = f"{_joined([check.text for check in good])}, but {_lower(reason)}"
        return Verdict(outcome="lose", reason=f"{reason}.", checks=checks)
    if worst == "win":
        reason = _joined([check.text for check in deciding if check.rule == "primary"])
        if card.has_champion:
            return Verdict(outcome="win", reason=f"{reason}.", checks=checks)
        return Verdict(
            outcome="no_incumbent",
            reason=f"{reason}; there is no champion to beat.",
            checks=checks,
        )
    reason = _joined([check.text for check in deciding])
    return Verdict(outcome=worst, reason=f"{reason}.", checks=checks)


def _checks(card: ScoreCard, options: EvaluationOptions) -> Iterator[Check]:
    enough = card.examples >= options.min_examples
    yield Check(
        rule="examples",
        outcome="win" if enough else "too_few_examples",
        text=f"The test set has {card.examples} examples, and a decision needs at least "
        f"{options.min_examples}",
    )
    for opponent in card.opponents:
        yield _primary(card, opponent, options)
    if NATIVE in card.models:
        yield from _engine_losses(card, options)
    for guardrail in options.guardrails:
        for opponent in card.opponents:
            if guardrail.against in (opponent, "both"):
                yield _guardrail(card, guardrail, opponent)
    if options.bounds is not None and card.product is not None and card.product.grounded:
        yield from _bounds(card.product, options.bounds)
    for required in options.required_slices:
        yield from _required_slice(card, required, options)
    if options.slice_regressions == "fail":
        for opponent in card.opponents:
            yield from _slice_regressions(card, opponent, options)


def _primary(card: ScoreCard, opponent: str, options: EvaluationOptions) -> Check:
    gain = card.gains.get(opponent, {}).get(options.primary_metric)
    following = _NEXT.get(options.primary_metric)
    if following and opponent == CHAMPION and gain is not None and _is_same(gain):
        check = _primary_by(card, opponent, options, METRICS[following])
        return replace(
            check, text=f"The product's answers are the champion's; {_lower(check.text)}"
        )
    return _primary_by(card, opponent, options, METRICS[options.primary_metric])


def _is_same(gain: StoredGain) -> bool:
    return gain.value == gain.low == gain.high == 0


def _primary_by(
    card: ScoreCard, opponent: str, options: EvaluationOptions, info: MetricInfo
) -> Check:
    gain = card.gains.get(opponent, {}).get(info.name)
    if gain is None:
        text = f"{info.title} could not be compared with {_OPPONENTS[opponent]}"
        both = {f"{info.name}_{model}" for model in (TUNED, opponent)} <= set(card.scores)
        if info.name == "perplexity" and both:
            text = f"{text}: their tokenizers differ, so choose bits_per_byte"
        return Check(
            rule="primary", outcome="missing_metric", text=f"{text}, and the decision rests on it"
        )
    details = describe_interval(info, gain, card.confidence)
    values = [card.scores.get(f"{info.name}_{model}") for model in (TUNED, opponent)]
    if None not in values:
        details = "{:.{d}f} against {:.{d}f}; {}".format(*values, details, d=info.digits)
    text = f"{describe_gain(info, gain.value)} than {_OPPONENTS[opponent]}'s ({details})"
    if gain.high < 0:
        return Check(rule="primary", outcome="lose", text=text)
    if gain.low <= 0:
        text = f"{text}, which could be chance"
        first = CHAMPION not in card.opponents and options.first_release == "better"
        if not first or gain.value <= 0:
            return Check(rule="primary", outcome="tie", text=text)
    if gain.value < options.min_gain:
        least = format_gain(info, options.min_gain)
        text = f"{text}, less than the least gain of {least}"
        return Check(rule="primary", outcome="tie", text=text)
    return Check(rule="primary", outcome="win", text=text)


def _bounds(product: ProductAnswers, bounds: AnswerBounds) -> Iterator[Check]:
    share = product.right / product.questions
    held = share >= bounds.least_right
    yield Check(
        rule="floor",
        outcome="win" if held else "lose",
        text=f"The product answers {product.right} of {product.questions} questions right, "
        f"{'no less' if held else 'less'} than the floor of {_percent(bounds.least_right)}",
    )
    for name, value, most in (
        ("Unsupported answers", product.unsupported, bounds.most_unsupported),
        ("Wrong refusals", product.refused_wrong, bounds.most_refused_wrong),
    ):
        if value is not None:
            held = value <= most
            yield Check(
                rule="bound",
                outcome="win" if held else "lose",
                text=f"{name} are {_percent(value)}, {'within' if held else 'over'} the bound of "
                f"{_percent(most)}",
            )


def _engine_losses(card: ScoreCard, options: EvaluationOptions) -> Iterator[Check]:
    """Yields what the engine that serves loses against the same model in full precision."""
    gains = card.gains.get(NATIVE, {})
    known = [name for name in _ENGINE_METRICS if name in gains]
    if not known:
        yield Check(
            rule="engine",
            outcome="missing_metric",
            text=f"Right answers of the engine {options.engine} could not be compared with those "
            "in full precision",
        )
    for name in known:
        held = gains[name].value >= -options.max_engine_loss
        found = describe_gain(METRICS[name], gains[name].value)
        yield Check(
            rule="engine",
            outcome="win" if held else "lose",
            text=f"{found} by the engine {options.engine} than in full precision, "
            f"{'within' if held else 'over'} its limit of {_percent(options.max_engine_loss)}",
        )


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %")


def _guardrail(card: ScoreCard, guardrail: Guardrail, opponent: str) -> Check:
    info = METRICS[guardrail.metric]
    gain = card.gains.get(opponent, {}).get(info.name)
    most = format_gain(info, guardrail.max_loss)
    if gain is None:
        return Check(
            rule="guardrail",
            outcome="missing_metric",
            text=f"{info.title} could not be compared with {_OPPONENTS[opponent]}, and a "
            "guardrail needs it",
        )
    held = gain.low >= -guardrail.max_loss
    found = f"{describe_gain(info, gain.value)} than {_OPPONENTS[opponent]}'s"
    found = f"{found} ({describe_interval(info, gain, card.confidence)})"
    verb = "keeps to" if held else "breaks"
    return Check(
        rule="guardrail",
        outcome="win" if held else "lose",
        text=f"{found}, which {verb} the guardrail of at most {most} worse",
    )


def _required_slice(
    card: ScoreCard, required: RequiredSlice, options: EvaluationOptions
) -> Iterator[Check]:
    name = f"{required.by} {required.value}"
    part = next((part for part in card.slices if part.name == name), None)
    least = max(required.min_examples, options.min_slice_examples)
    if part is None or part.examples < required.min_examples:
        found = part.examples if part else f"fewer than {least}"
        yield Check(
            rule="required slice",
            outcome="too_few_examples",
            text=f"The required slice {name} has {found} examples, and needs {least}",
        )
        return
    info = METRICS[required.metric or options.primary_metric]
    for opponent in card.opponents:
        gain = part.gains.get(opponent, {}).get(info.name)
        if gain is None:
            yield Check(
                rule="required slice",
                outcome="missing_metric",
                text=f"{info.title} is missing on the required slice {name}",
            )
            continue
        worse = gain.high < -required.max_loss
        yield Check(
            rule="required slice",
            outcome="lose" if worse else "win",
            text=_slice_text(card, info, part, gain, opponent),
        )


def _slice_regressions(
    card: ScoreCard, opponent: str, options: EvaluationOptions
) -> Iterator[Check]:
    info = METRICS[options.primary_metric]
    with_gain = [
        (part, gain)
        for part in card.slices
        if part.examples >= options.min_slice_examples
        and (gain := part.gains.get(opponent, {}).get(info.name)) is not None
    ]
    if not with_gain:
        return
    worse = [
        (part, gain)
        for part, gain in with_gain
        if gain.high < 0 and gain.p_corrected < 1 - card.confidence
    ]
    part, gain = min(worse or with_gain, key=lambda pair: pair[1].value)
    yield Check(
        rule="slices",
        outcome="lose" if worse else "win",
        text=_slice_text(card, info, part, gain, opponent),
    )


def _slice_text(
    card: ScoreCard, info: MetricInfo, part: StoredSlice, gain: StoredGain, opponent: str
) -> str:
    return (
        f"On the slice {part.name} ({part.examples} examples) "
        f"{_lower(describe_gain(info, gain.value))} than {_OPPONENTS[opponent]}'s "
        f"({describe_interval(info, gain, card.confidence)})"
    )


def _joined(texts: Sequence[str]) -> str:
    return " and ".join([texts[0], *(_lower(text) for text in texts[1:])])


def _lower(text: str) -> str:
    # ROUGE-L and BLEU keep their capitals; chrF begins in lower case.
    return text if text[:2].isupper() else text[:1].lower() + text[1:]


def describe_gain(info: MetricInfo, gain: float) -> str:
    """Describes a gain in words: "Perplexity is 12.0 % lower"."""
    up = (gain >= 0) == (info.better != "lower")
    return f"{info.title} is {format_gain(info, abs(gain))} {'higher' if up else 'lower'}"


def describe_interval(info: MetricInfo, gain: StoredGain, confidence: float) -> str:
    """Describes a gain's interval in words."""
    low, high = format_gain(info, gain.low), format_gain(info, gain.high)
    return f"gain, {confidence:.0%} interval: {low} to {high}"


def format_gain(info: MetricInfo, gain: float) -> str:
    """Formats a gain; a relative one as a percentage."""
    text = f"{gain:.1%}".replace("%", " %") if info.relative else f"{gain:.{info.digits}f}"
    return text if text.strip("-0. %") else text.removeprefix("-")
