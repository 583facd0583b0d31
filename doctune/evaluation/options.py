"""What a user may set about evaluation and the release decision."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Metric = Literal["perplexity", "token_f1", "rouge_l", "exact_match", "chrf"]


class EvaluationOptions(BaseModel):
    """Settings of `evaluate_model`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    primary_metric: Metric = Field(
        "perplexity", description="The metric that decides; lower is better for perplexity alone."
    )
    min_gain: float = Field(
        0.0, ge=0, description="Least improvement over base and champion, in the metric's unit."
    )
    max_new_tokens: int = Field(64, ge=1, le=4096)
    batch_size: int = Field(16, ge=1)
    max_examples: int | None = Field(
        None, ge=1, description="Most test examples to generate for; None for all."
    )
    bootstrap_resamples: int = Field(2000, ge=100)
    confidence: float = Field(0.95, gt=0.5, lt=1)
    seed: int = Field(13, ge=0)
