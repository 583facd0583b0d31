"""Judges a retraining: may its version be released, by its evaluation and by what was corrected?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from doctune.artifacts import local_folder
from doctune.batch.ways import product_of
from doctune.evaluation.score_card import read_card
from doctune.feedback.regressions import (
    Ask,
    Case,
    RegressionVerdict,
    judge_regressions,
    may_release,
    read_cases,
)
from doctune.knowledge.reviewed import read_reviewed
from doctune.vertex import find_version


@dataclass(frozen=True)
class Evaluated:
    """The result of a version's evaluation.

    Attributes:
        passed: Whether it found the version fit for release.
        primary_metric: The metric that decided.
        answering: The version's way of answering: quote, model or hybrid.
        scores: Its `scores.json`.
    """

    outcome: str
    passed: bool
    primary_metric: str
    answering: str
    scores: Path


def judge_retraining(
    model: str,
    index: str,
    evaluated: Evaluated,
    regression_set: Path,
    *,
    model_name: str,
    champion_uri: str,
    max_new_tokens: int,
) -> tuple[RegressionVerdict, bool]:
    """Returns the verdict on what users once got wrong, and whether the version may be released.

    The session with Vertex AI must be open.

    Args:
        model: URI of a folder that `tune_model` wrote.
        index: URI of the index with the reviewed answers.
        regression_set: JSON Lines of chat examples; may be empty.
        model_name: Display name in the Model Registry.
        champion_uri: The artifact of the champion; "" if there is none.
        max_new_tokens: Maximum number of tokens of an answer.

    Raises:
        EvaluationError: The scores cannot be read.
        ModelError: A model cannot be loaded.
        RegistryError: The champion is not in the registry any more.
    """
    reviewed = read_reviewed(local_folder(index))
    verdict = judge_regressions(
        product_of(model, index, evaluated.answering, max_new_tokens),
        _champion(model_name, champion_uri, max_new_tokens) if champion_uri else None,
        read_cases(regression_set),
        [Case(one.questions, one.answer) for one in reviewed],
    )
    gain = read_card(evaluated.scores).gains.get("base", {}).get(evaluated.primary_metric)
    above_base = gain is not None and gain.value > 0
    return verdict, may_release(verdict, evaluated.outcome, evaluated.passed, above_base)


def _champion(model_name: str, uri: str, max_new_tokens: int) -> Ask:
    """Returns the champion's product: its model, with the index that it was released with."""
    version = find_version(model_name, "champion")
    return product_of(
        uri, version.text("index"), version.labels.get("answering", ""), max_new_tokens
    )
