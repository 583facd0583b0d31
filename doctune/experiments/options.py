"""The settings of experiments: `experiments.yaml` beside the other files of the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from doctune.configuration.yaml_file import check_keys, read_yaml_file
from doctune.errors import ConfigurationError
from doctune.experiments.service_database import DatabasePlace

EXPERIMENTS_CONFIG_FILE = "experiments.yaml"

# What is summed over a user's requests; `doctune.database.exposures` computes them.
Measure = Literal[
    "requests",
    "answers",
    "errors",
    "fallbacks",
    "thumbs_up",
    "rated",
    "corrected",
    "followed_up",
    "answered",
    "refused",
    "faithful",
    "judged",
    "prompt_tokens",
    "completion_tokens",
    "cost",
]
# What each answer has one value of.
Value = Literal["total_ms", "first_token_ms", "prompt_tokens", "completion_tokens"]
Better = Literal["higher", "lower"]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Metric(_Section):
    better: Better
    margin: float | None = Field(
        default=None,
        ge=0,
        description="Non-inferiority margin of a guardrail, in the metric's unit.",
    )
    relative_margin: float | None = Field(
        default=None, ge=0, description="Non-inferiority margin as a share of the control's value."
    )

    @model_validator(mode="after")
    def _one_margin(self) -> _Metric:
        if self.margin is not None and self.relative_margin is not None:
            raise ValueError("give margin or relative_margin, not both")
        return self


class SumMetric(_Metric):
    """One sum over another, with the user as the unit of analysis.

    `share` where each unit of the denominator adds 0 or 1 to the numerator, else `ratio`.
    """

    kind: Literal["share", "ratio"]
    numerator: Measure
    denominator: Measure


class QuantileMetric(_Metric):
    """A quantile over answers, clustered by user."""

    kind: Literal["quantile"]
    measure: Value
    quantile: float = Field(gt=0, lt=1)


Metric = Annotated[SumMetric | QuantileMetric, Field(discriminator="kind")]


class Rules(_Section):
    """When an experiment ramps up and ends."""

    alpha: float = Field(
        0.05, gt=0, lt=0.5, description="Probability of a false verdict over all evaluations."
    )
    guardrail_alpha: float = Field(
        0.05, gt=0, lt=0.5, description="Probability of a false alarm of one guardrail."
    )
    mismatch_alpha: float = Field(0.001, gt=0, lt=0.5)
    min_users: int = Field(200, ge=10, description="Per arm, before anything is concluded.")
    min_days: float = Field(7.0, ge=0, description="Before a treatment may win.")
    max_days: float = Field(28.0, gt=0, description="Then the experiment ends as a tie.")
    max_users: int | None = Field(
        default=None, ge=10, description="Per arm; then the experiment ends as a tie."
    )
    stage_days: float = Field(1.0, ge=0, description="The shortest stage of the ramp.")
    outage_seconds: float = Field(
        60.0,
        ge=0,
        description="Guardrails leave out the one stretch so long that speaks most against an arm: "
        "an outage is one event, however many requests it fails.",
    )
    evaluate_seconds: float = Field(60.0, gt=0)
    tightest_at: int = Field(
        5000, ge=10, description="Number of users at which the intervals are tightest."
    )
    before_days: float = Field(
        28.0, ge=0, description="Days before the start that CUPED uses; 0: no CUPED."
    )


class Prices(_Section):
    """Dollars for a million tokens."""

    prompt_tokens: float = Field(0.0, ge=0)
    completion_tokens: float = Field(0.0, ge=0)


class ReleaseExperiment(_Section):
    """The experiment that decides on a release: `rollout: experiment`, and the pipeline ab_test."""

    name: str = Field("", description="Empty: made of the version and the run.")
    model: str = Field("", description="As clients name it; empty: the endpoint's name.")
    metric: str = Field("helpful", description="What decides.")
    guardrails: tuple[str, ...] = Field(
        ("latency_p95", "error_rate"), description="What must not get worse."
    )
    ramp: tuple[float, ...] = Field((1, 5, 25, 50), description="Percent of users, rising.")
    layer: str = Field("", description="Experiments of one layer share no user; else the model's.")
    layer_share: float = Field(100.0, gt=0, le=100, description="Percent of the layer's users.")
    limit_days: float = Field(
        29.0, gt=0, description="Then the step that controls it ends it and keeps the control."
    )
    database: DatabasePlace = DatabasePlace()


class ExperimentOptions(_Section):
    """All settings of experiments."""

    rules: Rules = Rules()
    metrics: dict[str, Metric] = Field(min_length=1)
    prices: Prices = Prices()
    release: ReleaseExperiment = ReleaseExperiment()
    holdout: float = Field(0.0, ge=0, le=0.5, description="Share of users in no experiment.")
    drain_seconds: float = Field(
        10.0, ge=0, description="Between an arm's last new request and its removal."
    )


METRIC: TypeAdapter[Metric] = TypeAdapter(Metric)


def load_experiment_options(folder: Path) -> ExperimentOptions:
    """Returns the settings of a configuration folder.

    Raises:
        ConfigurationError: There is no such file, a key is unknown, or a value is wrong.
    """
    path = folder / EXPERIMENTS_CONFIG_FILE
    if not path.is_file():
        raise ConfigurationError(f"{path} is missing: it declares the metrics of experiments.")
    return experiment_options(read_yaml_file(path), str(path))


def experiment_options(values: Mapping[str, Any], said_in: str) -> ExperimentOptions:
    """Returns the settings that a file or a parameter holds.

    Args:
        said_in: What holds them, for the message.

    Raises:
        ConfigurationError: A key is unknown, or a value is wrong.
    """
    return check_keys(ExperimentOptions, values, said_in)
