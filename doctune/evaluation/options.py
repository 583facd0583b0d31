"""What a user may set about evaluation and the release decision."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Metric = Literal["perplexity", "token_f1", "rouge_l", "exact_match", "chrf"]


class EvaluationOptions(BaseModel):
    """Settings of `evaluate_model`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    primary_metric: Metric = Field(
        default="perplexity",
        description="The metric that decides; lower is better for perplexity alone.",
    )
    min_gain: float = Field(
        default=0.0,
        ge=0,
        description="Least improvement over base and champion, in the metric's unit; "
        "for perplexity the share by which it falls (0.05: 5 % lower).",
    )
    min_examples: int = Field(
        default=8, ge=2, description="Fewest test examples that a decision may stand on."
    )
    max_new_tokens: int = Field(default=64, ge=1, le=4096)
    batch_size: int = Field(default=16, ge=1, description="Most conversations decoded together.")
    max_examples: int | None = Field(
        default=None,
        ge=1,
        description="Most test examples to score, drawn by the seed; None for all.",
    )
    bootstrap_resamples: int = Field(default=10_000, ge=100)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    seed: int = Field(default=13, ge=0)
