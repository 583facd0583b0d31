"""The reasons to retrain a model, each judged on its own and put in one sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from doctune.configuration.retraining import TriggerOptions
from doctune.feedback.analysis import rate_of

_LEAST_BASELINE = 20


@dataclass(frozen=True)
class Facts:
    """What the reasons are judged by.

    Attributes:
        bad: Of the opinions since the last release, in their order: 1 for a bad one, else 0.
        baseline: Likewise of the champion's time before that.
        unknown_questions: How many of the last questions nothing known is like, and of how many;
            None where there is no index to tell.
    """

    now: datetime
    reviewed: int
    bad: Sequence[int]
    baseline: Sequence[int]
    corpus_digest: str
    trained_digest: str
    last_started: datetime | None
    unknown_questions: tuple[int, int] | None


@dataclass(frozen=True)
class Reason:
    """One reason that holds."""

    kind: str
    text: str


def reasons(facts: Facts, options: TriggerOptions) -> list[Reason]:
    """Returns the reasons that hold."""
    found = []
    if options.reviewed_items is not None and facts.reviewed >= options.reviewed_items:
        text = f"{facts.reviewed} reviewed items are new ({options.reviewed_items} are enough)"
        found.append(Reason("feedback", text))
    if (why := _worse(facts, options)) is not None:
        found.append(Reason("bad answers", why))
    changed = facts.corpus_digest and facts.corpus_digest != facts.trained_digest
    if options.documents and facts.trained_digest and changed:
        found.append(
            Reason(
                "documents",
                f"the PDFs changed from {facts.trained_digest[:12]} to {facts.corpus_digest[:12]}",
            )
        )
    if options.schedule and _is_due(options.schedule, facts.last_started, facts.now):
        found.append(Reason("schedule", f"{options.schedule} is due"))
    if options.drift_share is not None and facts.unknown_questions is not None:
        unknown, of = facts.unknown_questions
        if of >= options.drift_questions and unknown / of >= options.drift_share:
            text = f"{unknown} of the last {of} questions are like nothing that is known"
            found.append(Reason("drift", text))
    return found


def _worse(facts: Facts, options: TriggerOptions) -> str | None:
    """Returns how the rate of bad answers has risen; None where chance may have done it.

    A likelihood ratio of the raised rate against the champion's own, which may be looked at after
    every opinion: it exceeds 1/alpha at any time with a chance of alpha at most (Ville's
    inequality). The champion's own rate is taken at the upper end of its interval, so that what is
    not known of it does not raise an alarm.
    """
    if options.bad_answers_alpha is None or len(facts.baseline) < _LEAST_BASELINE:
        return None
    own = rate_of("champion", sum(facts.baseline), len(facts.baseline))
    usual = min(max(own.high, 0.01), 0.9)
    raised = min(options.bad_answers_margin * usual, 0.99)
    limit, evidence = -math.log(options.bad_answers_alpha), 0.0
    for number, bad in enumerate(facts.bad, 1):
        evidence += math.log(raised / usual) if bad else math.log((1 - raised) / (1 - usual))
        if evidence >= limit:
            live = sum(facts.bad[:number]) / number
            return (
                f"{live:.0%} of {number} opinions are bad, against {own.rate:.0%} before "
                f"(chance of a false alarm at most {options.bad_answers_alpha:g})"
            )
    return None


def _is_due(schedule: str, last: datetime | None, now: datetime) -> bool:
    from cronsim import CronSim

    if last is None:
        return True
    return bool(next(CronSim(schedule, last)) <= now)
