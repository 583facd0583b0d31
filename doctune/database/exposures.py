"""Measures of an experiment's users, summed in SQL from the log of predictions and the feedback.

A request belongs to the arm that its user is assigned to. Its `exposure` says how it ended:

- given: the arm answered. Only these count, except for requests, errors and fallbacks.
- failed: nothing answered, which is an error of the arm.
- fallback: another upstream answered in the arm's place, which is also an error of the arm.
- forced: a tester chose the arm; not counted.
- shadow: the arm answered the same request in shadow mode, unseen by the user; shadowed: that
  request itself. Counted in shadow mode only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Engine,
    Float,
    Select,
    Subquery,
    and_,
    case,
    cast,
    func,
    or_,
    select,
)

from doctune.database.tables import Feedback, Prediction

GIVEN, FALLBACK, FAILED, FORCED = "given", "fallback", "failed", "forced"
SHADOW, SHADOWED = "shadow", "shadowed"
VALUES = ("total_ms", "first_token_ms", "prompt_tokens", "completion_tokens")
ANSWER = "answer_"  # what the columns of `VALUES` begin with where they are exported
_NO_MEASURES = {"at", "arm", "unit", *(f"{ANSWER}{value}" for value in VALUES)}
_UP, _DOWN = ("up", "4", "5"), ("down", "1", "2", "3")


@dataclass(frozen=True, kw_only=True)
class Scope:
    """The requests to count, and how to count them."""

    experiment: str
    refusal: str  # how an answer begins that refuses
    faithfulness: str  # the label by which programs score it
    prompt_price: float = 0.0  # dollars a token
    completion_price: float = 0.0
    shadow: bool = False
    # Instead of the experiment's requests: those of the model before it, in this time.
    before: tuple[str, datetime, datetime] | None = None
    left_out: tuple[datetime, datetime] | None = None  # requests from the one to the other


def user_sums(
    engine: Engine, scope: Scope, measures: Sequence[str]
) -> list[tuple[str, str, tuple[float, ...]]]:
    """Returns (arm, unit, sums of the measures) for each user; before the start, arm is ""."""
    requests = _requests(scope)
    sums = [cast(func.sum(requests.c[measure]), Float) for measure in measures]
    user = requests.c.arm, requests.c.unit
    query = select(*user, *sums).group_by(*user)
    with engine.connect() as connection:
        return [(row[0] or "", row[1], tuple(row[2:])) for row in connection.execute(query)]


def answer_values(engine: Engine, scope: Scope, value: str) -> list[tuple[str, str, float]]:
    """Returns (arm, unit, value) for each answer that an arm gave."""
    column = getattr(Prediction, value)
    query = select(Prediction.arm, Prediction.unit, column).where(
        _within(scope), _given(scope), column.is_not(None), Prediction.cache != "hit"
    )
    with engine.connect() as connection:
        return [(row[0], row[1], float(row[2])) for row in connection.execute(query)]


def bad_requests(
    engine: Engine,
    scope: Scope,
    arm: str,
    measured: str | tuple[str, str],
    against: float,
    *,
    lower_is_better: bool,
) -> list[tuple[datetime, float]]:
    """Returns the times of an arm's requests that were worse than a value, and by how much.

    Oldest first.

    Args:
        measured: A value of answers, of which each worse one counts 1, or the numerator and
            denominator of a ratio.
    """
    requests, sign = _requests(scope), 1.0 if lower_is_better else -1.0
    badness: ColumnElement[Any]
    if isinstance(measured, str):
        value = requests.c[f"{ANSWER}{measured}"]
        badness = case((sign * (value - against) > 0, 1.0), else_=0.0)
    else:
        numerator, denominator = (cast(requests.c[name], Float) for name in measured)
        badness = sign * (numerator - against * denominator)
    query = (
        select(requests.c.at, badness)
        .where(requests.c.arm == arm, badness > 0)
        .order_by(requests.c.at)
    )
    with engine.connect() as connection:
        return [(row[0], float(row[1])) for row in connection.execute(query)]


def exposures_in_batches(
    engine: Engine, scope: Scope, size: int = 50_000
) -> Iterator[list[dict[str, Any]]]:
    """Yields the requests with all measures, and as `answer_...` the values for quantiles.

    Requests that the arm did not answer, or that the cache answered, have no `answer_...`.
    """
    requests = _requests(scope)
    measures = [cast(column, Float) for column in requests.c if column.name not in _NO_MEASURES]
    names = [column.name for column in requests.c if column.name not in _NO_MEASURES]
    answers = [requests.c[f"{ANSWER}{value}"] for value in VALUES]
    query = select(
        requests.c.arm,
        requests.c.unit,
        *(column.label(name) for column, name in zip(measures, names, strict=True)),
        *answers,
    )
    with engine.connect() as connection:
        rows = connection.execution_options(yield_per=size).execute(query)
        for part in rows.mappings().partitions():
            yield [dict(row) for row in part]


def users_exposed(engine: Engine, scope: Scope) -> dict[str, int]:
    """Returns how many users each arm has had, whether or not they were answered."""
    query = (
        select(Prediction.arm, func.count(Prediction.unit.distinct()))
        .where(_within(scope))
        .group_by(Prediction.arm)
    )
    with engine.connect() as connection:
        return {row[0] or "": int(row[1]) for row in connection.execute(query)}


def example_pairs(engine: Engine, scope: Scope, most: int) -> list[dict[str, Any]]:
    """Returns the newest answers of the arms with their questions, for reading side by side."""
    query = (
        select(Prediction.arm, Prediction.messages, Prediction.answer)
        .where(_within(scope), _given(scope), Prediction.answer.is_not(None))
        .order_by(Prediction.created_at.desc())
        .limit(most)
    )
    with engine.connect() as connection:
        return [
            {"arm": arm, "question": _last(messages), "answer": answer}
            for arm, messages, answer in connection.execute(query)
        ]


def questions_of(engine: Engine, scope: Scope) -> dict[str, str]:
    """Returns the first question of each user whose texts are in the log."""
    query = (
        select(Prediction.unit, Prediction.messages)
        .where(_within(scope), Prediction.messages.is_not(None))
        .order_by(Prediction.created_at.desc())
    )
    with engine.connect() as connection:
        return {unit: _last(messages) for unit, messages in connection.execute(query)}


def _last(messages: Sequence[Mapping[str, str]] | None) -> str:
    return messages[-1].get("content", "") if messages else ""


def _within(scope: Scope) -> ColumnElement[bool]:
    if scope.before is not None:
        model, start, end = scope.before
        return and_(
            Prediction.model == model,
            Prediction.unit.is_not(None),
            Prediction.created_at >= start,
            Prediction.created_at < end,
        )
    counted = (SHADOW, SHADOWED) if scope.shadow else (GIVEN, FALLBACK, FAILED)
    mine = and_(Prediction.experiment == scope.experiment, Prediction.exposure.in_(counted))
    if scope.left_out is None:
        return mine
    start, end = scope.left_out
    return and_(mine, or_(Prediction.created_at < start, Prediction.created_at > end))


def _given(scope: Scope) -> ColumnElement[bool]:
    if scope.before is not None or scope.shadow:
        return Prediction.status == 200
    return Prediction.exposure == GIVEN


def _requests(scope: Scope) -> Subquery:
    """Returns one row per request, with all measures."""
    given = _given(scope)
    refused = and_(given, func.substr(Prediction.answer, 1, len(scope.refusal)) == scope.refusal)
    said = _said(scope).subquery()
    error: ColumnElement[bool]
    if scope.before is None and not scope.shadow:
        # That another upstream could help out does not make the arm a working one.
        error = Prediction.exposure.in_((FAILED, FALLBACK))
    else:
        error = Prediction.status >= 500
    next_turn = func.lead(Prediction.created_at).over(
        partition_by=(Prediction.owner, Prediction.conversation_id),
        order_by=Prediction.created_at,
    )
    followed = and_(given, Prediction.conversation_id.is_not(None), next_turn.is_not(None))
    cost = (
        Prediction.prompt_tokens * scope.prompt_price
        + Prediction.completion_tokens * scope.completion_price
    )
    counts: dict[str, ColumnElement[Any]] = {
        "requests": case((Prediction.id.is_not(None), 1), else_=0),
        "answers": _flag(given),
        "errors": _flag(error),
        "fallbacks": _flag(func.coalesce(Prediction.exposure, "") == FALLBACK),
        "refused": _flag(refused),
        "answered": _flag(given) - func.coalesce(_flag(refused), 0),
        "followed_up": _flag(followed),
        "prompt_tokens": case((given, Prediction.prompt_tokens), else_=0),
        "completion_tokens": case((given, Prediction.completion_tokens), else_=0),
        "cost": case((given, cost), else_=0.0),
    }
    uncached = and_(given, Prediction.cache != "hit")
    for value in VALUES:
        counts[f"{ANSWER}{value}"] = case((uncached, getattr(Prediction, value)))
    for name in ("thumbs_up", "rated", "corrected", "faithful", "judged"):
        counts[name] = case((given, func.coalesce(said.c[name], 0)), else_=0)
    columns = [column.label(name) for name, column in counts.items()]
    return (
        select(Prediction.created_at.label("at"), Prediction.arm, Prediction.unit, *columns)
        .outerjoin(said, said.c.prediction_id == Prediction.id)
        .where(_within(scope))
        .subquery()
    )


def _said(scope: Scope) -> Select[Any]:
    """Returns the feedback on each prediction, in each person's latest version."""
    place = func.row_number().over(
        partition_by=(
            Feedback.prediction_id,
            Feedback.kind,
            Feedback.key_id,
            Feedback.end_user,
        ),
        order_by=Feedback.version.desc(),
    )
    last = (
        select(
            Feedback.prediction_id,
            Feedback.kind,
            Feedback.value["rating"].as_string().label("rating"),
            Feedback.value["label"].as_string().label("label"),
            Feedback.value["score"].as_float().label("score"),
            place.label("place"),
        )
        .join(Prediction, Prediction.id == Feedback.prediction_id)
        .where(_within(scope))
        .subquery()
    )
    rating = last.c.kind == "rating"
    judged = and_(
        last.c.kind == "label", last.c.label == scope.faithfulness, last.c.score.is_not(None)
    )
    sums: dict[str, ColumnElement[Any]] = {
        "thumbs_up": _flag(and_(rating, last.c.rating.in_(_UP))),
        "rated": _flag(and_(rating, last.c.rating.in_(_UP + _DOWN))),
        "corrected": _flag(last.c.kind == "correction"),
        "faithful": case((judged, last.c.score), else_=0.0),
        "judged": _flag(judged),
    }
    columns = [func.sum(value).label(name) for name, value in sums.items()]
    return (
        select(last.c.prediction_id, *columns)
        .where(last.c.place == 1)
        .group_by(last.c.prediction_id)
    )


def _flag(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return case((condition, 1), else_=0)
