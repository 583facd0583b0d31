"""What a user may set about training."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

DEFAULT_BASE_MODEL = "smollm2-135m-instruct"


class TrainingOptions(BaseModel):
    """Settings of `tune_model`; names follow transformers and PEFT."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_model: str = Field(
        DEFAULT_BASE_MODEL,
        description="The bundled SmolLM2, a hub id, a local folder, or a gs:// folder.",
    )
    learning_rate: float = Field(1e-3, gt=0, le=1)
    num_train_epochs: float = Field(3.0, gt=0, le=1000)
    max_steps: int = Field(-1, ge=-1, description="Most optimizer steps; -1 for no such limit.")
    per_device_train_batch_size: int = Field(8, ge=1)
    gradient_accumulation_steps: int = Field(1, ge=1)
    max_length: int = Field(512, ge=16, description="Most tokens in an example.")
    warmup_ratio: float = Field(0.05, ge=0, le=1)
    weight_decay: float = Field(0.0, ge=0)
    lora_r: int = Field(16, ge=1)
    lora_alpha: int = Field(32, ge=1)
    lora_dropout: float = Field(0.0, ge=0, lt=1)
    target_modules: tuple[str, ...] | Literal["all-linear"] = "all-linear"
    early_stopping_patience: int = Field(
        2,
        ge=0,
        description="Evaluations without a better validation loss before stopping; 0: never.",
    )
    seed: int = Field(13, ge=0)
