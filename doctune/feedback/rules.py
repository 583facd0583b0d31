"""Automatic review: accepts corrections that people agree on and that a passage supports.

What it is unsure of it leaves to a person. It never rejects.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

from doctune.configuration.retraining import AugmentOptions, ReviewRules
from doctune.database.engine import Engine
from doctune.database.reviews import NotYoursError, claim, decide, open_items
from doctune.database.tables import Feedback, ReviewItem
from doctune.feedback.corrections import RULES
from doctune.feedback.orders import gives_orders
from doctune.feedback.support import PassageSupport, same_answer


@dataclass(frozen=True)
class RulesSummary:
    """What the rules did, and why they left the rest."""

    accepted: int
    left: dict[str, int]
    left_by_key: dict[str, int]  # corrections that were not accepted, by the key they came with


def review_by_rules(
    engine: Engine, support: PassageSupport, rules: ReviewRules, options: AugmentOptions
) -> RulesSummary:
    """Accepts what the rules allow; everything else waits in the queue."""
    accepted, left, left_by_key = 0, Counter[str](), Counter[str]()
    items = open_items(engine)
    # Like questions are judged together: people agree across answers, not on one alone.
    by_cluster: dict[str, list[tuple[ReviewItem, list[Feedback]]]] = defaultdict(list)
    for item, said in items:
        by_cluster[f"{item.owner}\0{item.cluster}"].append((item, said))
    for group in by_cluster.values():
        said = [row for _, rows in group for row in rows if row.kind == "correction"]
        answer, why = _answer(group[0][0].question, said, support, rules, options)
        if answer is None:
            left[why] += len(group)
            left_by_key.update(row.key_id for row in said)
            continue
        for item, rows in group:
            if not _accept(engine, item, answer, rows):
                left["a person has it"] += 1
                continue
            accepted += 1
        question = group[0][0].question
        wrong = [
            row for row in said if not same_answer(question, answer, row.value["correction"] or "")
        ]
        left_by_key.update(row.key_id for row in wrong)
    return RulesSummary(accepted, dict(left), dict(left_by_key.most_common()))


def _accept(engine: Engine, item: ReviewItem, answer: str, said: list[Feedback]) -> bool:
    try:
        claim(engine, item.owner, RULES, item.prediction_id)
        decide(
            engine,
            item.owner,
            RULES,
            item.prediction_id,
            state="accepted",
            answer=answer,
            note=f"{len(said)} opinions, and a passage says it",
        )
    except NotYoursError:
        return False
    return True


def _answer(
    question: str,
    said: list[Feedback],
    support: PassageSupport,
    rules: ReviewRules,
    options: AugmentOptions,
) -> tuple[str | None, str]:
    if not rules.enabled:
        return None, "the rules are off"
    # What no passage says has no vote: otherwise a flood would drown the truth.
    voices = _voices(question, said, support, options)
    if not voices:
        return None, "no passage says it" if said else "no correction"
    ranked = sorted(voices.items(), key=lambda voice: (-sum(voice[1].values()), voice[0]))
    weight = sum(ranked[0][1].values())
    next_weight = sum(ranked[1][1].values()) if len(ranked) > 1 else 0.0
    if weight < rules.least_weight:
        return None, "too few say so"
    if weight < rules.dominance * next_weight:
        return None, "people disagree"
    return ranked[0][0], ""


def _voices(
    question: str, said: list[Feedback], support: PassageSupport, options: AugmentOptions
) -> dict[str, dict[tuple[str, str], float]]:
    """Returns each supported answer with the people who give it and the weights of their words."""
    voices: dict[str, dict[tuple[str, str], float]] = {}
    judged: dict[str, bool] = {}
    for row in said:
        text = str(row.value["correction"] or "").strip()
        if text not in judged:
            judged[text] = bool(
                text and not gives_orders(text) and support.find(question, text) is not None
            )
        if not judged[text]:
            continue
        same = next((known for known in voices if same_answer(question, known, text)), text)
        weight = options.weights.get(row.source, 0.0)
        voices.setdefault(same, {})[row.key_id, row.end_user or ""] = weight
    return voices
