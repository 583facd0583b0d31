"""The settings in `retraining.yaml`: how feedback is used, and when a model is retrained."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from doctune.configuration.yaml_file import check_keys, read_yaml_file

RETRAINING_CONFIG_FILE = "retraining.yaml"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ReviewRules(_Section):
    """Which corrections are accepted without review by a person; the others wait for one."""

    enabled: bool = Field(True, description="Whether any is.")
    least_weight: float = Field(
        2.0, gt=0, description="Sum of the weights of those who agree on an answer."
    )
    dominance: float = Field(
        2.0, ge=1, description="How many times another answer's weight that must be."
    )


class AugmentOptions(_Section):
    """How reviewed feedback becomes training examples and test cases."""

    weights: dict[str, float] = Field(
        default_factory=lambda: {"end_user": 1.0, "annotator": 3.0, "program": 0.5},
        description="What one person's word counts, by its source.",
    )
    regression_share: float = Field(
        0.2, ge=0, le=0.9, description="Share of questions that become test cases for good."
    )
    regression_key: str = Field(
        "doctune", min_length=1, description="Key of the hash that draws them; never change it."
    )
    most_per_user: float = Field(
        0.2, gt=0, le=1, description="Most of the new examples that one person's word supports."
    )
    most_per_key: float = Field(0.5, gt=0, le=1, description="Likewise one key's.")
    always_per_user: int = Field(10, ge=0, description="So many of a person are never too many.")
    always_per_key: int = Field(40, ge=0, description="Likewise of a key.")
    replay_ratio: float | None = Field(
        None, ge=0, description="Old examples for each new one; null replays all of them."
    )
    repeat: int = Field(1, ge=1, le=20, description="How often a new example is taught.")


class TriggerOptions(_Section):
    """When to retrain. Null turns a reason off."""

    reviewed_items: int | None = Field(20, ge=1, description="Reviewed items not yet trained on.")
    bad_answers_alpha: float | None = Field(
        0.01, gt=0, lt=0.5, description="Chance of a false alarm of the test on bad answers."
    )
    bad_answers_margin: float = Field(
        1.5, gt=1, description="How many times the champion's own rate is worth an alarm."
    )
    documents: bool = Field(True, description="New or changed PDFs, by their digests.")
    schedule: str | None = Field(None, description="Cron: minute, hour, day, month, weekday.")
    drift_share: float | None = Field(
        0.3, gt=0, le=1, description="Share of the last questions that nothing known is like."
    )
    drift_questions: int = Field(100, ge=10, description="How many last questions are looked at.")
    debounce_hours: float = Field(6.0, ge=0, description="Least time between two retrainings.")
    settle_minutes: float = Field(
        10.0, ge=0, description="Least time since the last review or upload: no half batches."
    )
    monthly_budget: float = Field(100.0, ge=0, description="Most that a month's runs may cost.")
    most_attempts: int = Field(3, ge=1, description="Then it waits for a new reason.")
    retry_minutes: float = Field(30.0, gt=0, description="First pause; each next one is twice it.")
    lock_hours: float = Field(24.0, gt=0, description="A run that is longer is given up.")


class RolloutOptions(_Section):
    """How a better version takes over."""

    watch_minutes: float = Field(0.0, ge=0, description="How long it is watched before it counts.")
    most_bad_rate: float = Field(
        0.5, gt=0, le=1, description="Share of bad answers from which it is rolled back."
    )


class RetrainingSettings(_Section):
    """All settings of retraining."""

    start_from: Literal["base", "champion"] = Field(
        "base", description="Whether training begins anew or goes on from the champion."
    )
    after_erasure: Literal["base", "champion"] = Field(
        "base",
        description="Where it begins while no version that began from the base has been released "
        "since a person was erased; champion keeps what the model learnt of them.",
    )
    review: ReviewRules = ReviewRules()
    augment: AugmentOptions = AugmentOptions()
    trigger: TriggerOptions = TriggerOptions()
    rollout: RolloutOptions = RolloutOptions()


def load_retraining(folder: Path) -> RetrainingSettings:
    """Returns the settings of a configuration folder; without the file, the defaults.

    Raises:
        ConfigurationError: A key is unknown or a value is wrong; the message names it.
    """
    path = folder / RETRAINING_CONFIG_FILE
    values = read_yaml_file(path) if path.is_file() else {}
    return check_keys(RetrainingSettings, values, path)
