"""One piece of feedback as it is given: by a client of the gateway, or by a line of a file."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Kind = Literal["rating", "correction", "preference", "label", "comment"]
KINDS: tuple[Kind, ...] = ("rating", "correction", "preference", "label", "comment")
# What people of most projects say of an answer; a project names its own in gateway.yaml.
LABELS = (
    *("wrong", "incomplete", "outdated", "off_topic", "not_grounded", "refused_wrongly"),
    *("unsafe", "badly_worded", "good"),
)
# A label with a score of 0 to 1, as programs that judge answers give it.
FAITHFULNESS = "faithfulness"
GOOD_LABELS = ("good", FAITHFULNESS)
LONGEST_TEXT = 20_000

_Text = Annotated[str, StringConstraints(max_length=LONGEST_TEXT)]


class Preference(BaseModel):
    """Which of two answers is better: the prediction's own, or another."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    better: Literal["this", "other", "neither"]
    other_prediction_id: str | None = Field(default=None, max_length=64)
    other_answer: _Text | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _other_is_one(self) -> Preference:
        if (self.other_prediction_id is None) == (self.other_answer is None):
            raise ValueError("preference needs other_prediction_id or other_answer, one of them")
        return self


class FeedbackRequest(BaseModel):
    """What is said of one answer."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    prediction_id: str = Field(max_length=64)
    kind: Kind
    rating: Literal["up", "down"] | int | None = None
    correction: _Text | None = Field(default=None, min_length=1)
    preference: Preference | None = None
    label: str | None = Field(default=None, min_length=1, max_length=128)
    score: float | None = Field(
        default=None, ge=0, le=1, description="How much the label applies; with a label only."
    )
    comment: _Text | None = Field(default=None, min_length=1)
    reason: _Text | None = None
    source: Literal["end_user", "annotator", "program"] = "end_user"
    user: str | None = Field(default=None, max_length=256)
    idempotency_key: str | None = Field(default=None, min_length=1, max_length=128)

    @model_validator(mode="after")
    def _value_is_of_the_kind(self) -> FeedbackRequest:
        given = {name for name in KINDS if getattr(self, name) is not None}
        if given != {self.kind}:
            raise ValueError(f"kind {self.kind} needs {self.kind}, and nothing of another kind")
        if isinstance(self.rating, int) and not 1 <= self.rating <= 5:
            raise ValueError("rating is up, down, or a number from 1 to 5")
        if self.score is not None and self.kind != "label":
            raise ValueError("score belongs to a label")
        return self

    def value(self) -> dict[str, Any]:
        """Returns what is kept of it, by the name of its kind."""
        given = getattr(self, self.kind)
        if isinstance(given, Preference):
            return {self.kind: given.model_dump(exclude_none=True)}
        return {self.kind: given} | ({"score": self.score} if self.score is not None else {})


def is_bad(kind: str, value: dict[str, Any]) -> bool:
    """Returns whether feedback says that an answer is not as it should be."""
    if kind == "rating":
        rating = value.get("rating")
        return rating == "down" or (isinstance(rating, int) and rating <= 2)
    if kind == "preference":
        return bool(value["preference"]["better"] == "other")
    if kind == "label":
        applies = float(value.get("score", 1.0)) >= 0.5
        return applies if value.get("label") not in GOOD_LABELS else not applies
    return kind == "correction"


def is_good(kind: str, value: dict[str, Any]) -> bool:
    """Returns whether feedback says that an answer is as it should be."""
    if kind == "rating":
        rating = value.get("rating")
        return rating == "up" or (isinstance(rating, int) and rating >= 4)
    if kind == "preference":
        return bool(value["preference"]["better"] == "this")
    return (
        kind == "label"
        and value.get("label") in GOOD_LABELS
        and float(value.get("score", 1.0)) >= 0.5
    )
