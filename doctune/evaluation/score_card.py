"""`scores.json`: the schema of an evaluation's numbers.

`ScoreCard.model_json_schema()` is the schema; docs/evaluation.md explains the fields. What is
undefined (a metric without data) is left out, so every number is finite.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from doctune.errors import EvaluationError
from doctune.evaluation.comparison import BASE, CHAMPION, Comparison, Gain, flat_gains
from doctune.evaluation.product import Answering
from doctune.evaluation.slices import Slice
from doctune.validation import first_problem

SCHEMA_VERSION: Literal[1] = 1


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class StoredGain(_Part):
    """The tuned model's gain over an opponent; negative is worse."""

    value: float
    low: float = Field(description="Lower end of the confidence interval.")
    high: float = Field(description="Upper end of the confidence interval.")
    p: float = Field(ge=0, le=1, description="Two-sided bootstrap p-value.")
    p_corrected: float = Field(ge=0, le=1, description="By Holm's method over its family.")


Gains = dict[str, dict[str, StoredGain]]


class StoredSlice(_Part):
    """A slice of the test set. `gains` are by opponent, then by metric."""

    by: str = Field(description="kind, document or length; question kind of what is asked")
    value: str
    examples: int
    scores: dict[str, float] = Field(
        default_factory=dict, description="METRIC_MODEL and gains, as in the scores of all."
    )
    gains: Gains

    @property
    def name(self) -> str:
        """The display name of the slice: "kind table"."""
        return f"{self.by} {self.value}"


# Shares of questions or of answers that are told of the product.
SHARES = ("unsupported", "cited_page", "refused_right", "refused_wrong", "recall_at_3")
_MEANS: dict[Answering, str] = {
    "model": "by the model",
    "quote": "by quotation",
    "hybrid": "by the model where the passages bear it out, else by quotation",
}


class ProductWay(_Part):
    """One way in which the product might answer."""

    answering: Answering
    right: int = Field(ge=0)
    low: float = Field(description="Lower end of the interval of right / questions.")
    high: float


class ProductAnswers(_Part):
    """What the product answered in its best way."""

    answering: Answering = Field(description="The way that was right most often.")
    questions: int = Field(ge=1)
    right: int = Field(ge=0)
    grounded: bool = Field(description="Whether there was an index to answer from.")
    low: float = Field(description="Lower end of the interval of right / questions.")
    high: float = Field(description="Upper end of the interval of right / questions.")
    unsupported: float | None = Field(default=None, description="Share; None for no answers.")
    refused_right: float | None = Field(default=None, description="Share; None where none asked.")
    refused_wrong: float | None = Field(default=None, description="Share; None where none asked.")
    cited_page: float | None = Field(
        default=None, description="Share of right answers that name a passage which answers."
    )
    recall_at_3: float | None = Field(default=None, description="Of the index; None without one.")
    intervals: dict[str, tuple[float, float]] = Field(
        default_factory=dict, description="Of each share that is known, by its name."
    )
    ways: tuple[ProductWay, ...] = Field(
        default=(), description="Every way that was possible; the best is the product's."
    )
    note: str = Field(default="", description="What was left out of the questions, and why.")

    @property
    def facts(self) -> dict[str, Any]:
        """Returns its metadata for the scores artifact, without undefined values."""
        shares = {f"product_{name}": getattr(self, name) for name in SHARES}
        for name, (low, high) in {**self.intervals, "right": (self.low, self.high)}.items():
            shares |= {f"product_{name}_low": low, f"product_{name}_high": high}
        return {
            "answers": self.sentence,
            "answering": self.answering,
            "questions": self.questions,
            "questions_right": self.right,
            **{name: share for name, share in shares.items() if share is not None},
        }

    @property
    def sentence(self) -> str:
        """The first sentence of the report."""
        where = f"from the documents, {_MEANS[self.answering]}" if self.grounded else "from memory"
        return f"Answers {self.right} of {self.questions} questions right ({where})"


class ScoreCard(_Part):
    """All numbers of one evaluation."""

    schema_version: Literal[1] = Field(
        default=SCHEMA_VERSION, description="Raised when a field changes its meaning."
    )
    passed: bool = Field(default=False, description="Whether the model may be released.")
    outcome: str = Field(
        default="", description="win, lose, tie, no_incumbent, missing_metric, too_few_examples"
    )
    reason: str = Field(default="", description="Why, in one sentence.")
    primary_metric: str = Field(description="The metric that decided.")
    confidence: float = Field(description="Share of resamples that an interval holds.")
    examples: int = Field(ge=0, description="Test examples that were scored.")
    test_digest: str = Field(description="SHA-256 of the test set's file.")
    models: tuple[str, ...] = Field(description='"base", "tuned", "champion" and others.')
    created: str = Field(description="When, in UTC, ISO 8601.")
    scores: dict[str, float] = Field(
        description="Flat: METRIC_MODEL, METRIC_gain (over base), METRIC_MODEL_gain (over others), "
        "each with _low and _high."
    )
    gains: Gains = Field(description="The gains by opponent and metric, with p-values.")
    slices: tuple[StoredSlice, ...] = Field(
        default=(), description="The same gains on parts of the test set."
    )
    product: ProductAnswers | None = Field(
        default=None, description="None for scores made before answers were marked."
    )
    fairness: str = Field(
        default="", description="What champion and model were not compared on, and why."
    )
    worst_slice: str = Field(default="", description="Least gain over base, primary metric.")
    caps: tuple[str, ...] = Field(
        default=(), description="What settings left out of data, training and evaluation."
    )
    provenance: dict[str, str] = Field(
        default_factory=dict, description="How it was made: digests, versions, seed, settings."
    )

    @property
    def has_champion(self) -> bool:
        """Whether there was a champion."""
        return CHAMPION in self.models

    @property
    def opponents(self) -> tuple[str, ...]:
        """The models to beat."""
        return (BASE, CHAMPION) if self.has_champion else (BASE,)


def store_gains(gains: Sequence[Gain]) -> Gains:
    """Returns gains by opponent and metric, without the undefined ones."""
    stored: Gains = {}
    for gain in gains:
        numbers = (gain.value, gain.interval.low, gain.interval.high)
        if np.isfinite(numbers).all():
            stored.setdefault(gain.opponent, {})[gain.metric] = StoredGain(
                value=gain.value,
                low=gain.interval.low,
                high=gain.interval.high,
                p=gain.p,
                p_corrected=gain.p_corrected,
            )
    return stored


def make_card(
    comparison: Comparison, slices: Sequence[Slice], facts: Mapping[str, Any]
) -> ScoreCard:
    """Makes the score card of a comparison; `facts` are its other fields."""
    return ScoreCard(
        models=comparison.models,
        scores=comparison.flat(),
        gains=store_gains(comparison.gains),
        slices=tuple(
            StoredSlice(
                by=part.by,
                value=part.value,
                examples=part.examples,
                scores={**part.scores, **flat_gains(part.gains)},
                gains=store_gains(part.gains),
            )
            for part in slices
        ),
        **facts,
    )


def read_card(path: Path) -> ScoreCard:
    """Reads a `scores.json`.

    Raises:
        EvaluationError: The file is missing or not in the documented form.
    """
    try:
        return ScoreCard.model_validate_json(path.read_bytes())
    except OSError as error:
        raise EvaluationError(f"{path} cannot be read: {error.strerror}.") from error
    except ValidationError as error:
        reason = first_problem(error, "the file")
        raise EvaluationError(
            f"{path} is not a scores.json of evaluate_model: {reason}."
        ) from error
