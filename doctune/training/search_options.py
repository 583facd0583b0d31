"""The options of a hyperparameter search."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from doctune.training.options import TrainingOptions


class Range(BaseModel):
    """Numbers from `low` to `high`, both included."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: float
    high: float
    log: bool = False

    @model_validator(mode="after")
    def _is_a_range(self) -> "Range":
        if self.low > self.high or (self.log and self.low <= 0):
            raise ValueError("low must be at most high, and above 0 on a log scale")
        return self


Choices = Annotated[tuple[int | float | str, ...], Field(min_length=1)]


class SearchSpace(BaseModel):
    """A range or a list of choices for each hyperparameter; others keep their configured value."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    learning_rate: Range | Choices | None = Range(low=1e-4, high=3e-3, log=True)
    lora_r: Choices | None = (4, 8, 16, 32)
    lora_alpha: Choices | None = None
    lora_dropout: Range | Choices | None = None
    per_device_train_batch_size: Choices | None = None
    num_train_epochs: Range | Choices | None = None
    target_modules: Choices | None = Field(
        default=None, description='Names joined by commas, or "all-linear".'
    )


class SearchOptions(BaseModel):
    """Settings of `search_hyperparameters`, which minimises the validation loss."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    space: SearchSpace = SearchSpace()
    max_trials: int = Field(default=8, ge=1, le=1000, description="Maximum number of trials.")
    algorithm: Literal["tpe", "random"] = "tpe"
    pruning_warmup: int = Field(
        default=3, ge=0, description="Finished trials before pruning starts."
    )
    seed: int = Field(default=13, ge=0)


def with_parameters(common: TrainingOptions, parameters: dict[str, Any]) -> TrainingOptions:
    """Returns validated options with the values that a trial proposes."""
    values = dict(parameters)
    modules = values.get("target_modules")
    if isinstance(modules, str) and modules != "all-linear":
        values["target_modules"] = tuple(part.strip() for part in modules.split(","))
    if "lora_r" in values and "lora_alpha" not in values:
        # Keep the adapter's scale, alpha / r, so that ranks are compared fairly.
        scale = common.lora_alpha / common.lora_r
        values["lora_alpha"] = max(1, round(values["lora_r"] * scale))
    return TrainingOptions.model_validate({**common.model_dump(), **values})
