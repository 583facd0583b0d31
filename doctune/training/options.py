"""What a user may set about training."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from doctune.inference.base_model import DEFAULT_BASE_MODEL


class TrainingOptions(BaseModel):
    """Settings of `tune_model`; names follow transformers and PEFT."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_model: str = Field(
        default=DEFAULT_BASE_MODEL,
        min_length=1,
        description="The bundled SmolLM2, a hub id, a local folder, or a gs:// folder.",
    )
    learning_rate: float = Field(
        default=1e-3, gt=0, le=1, description="Peak learning rate of the adapter."
    )
    num_train_epochs: float = Field(
        default=2.0, gt=0, le=1000, description="Passes over the training set, at most."
    )
    max_steps: int = Field(
        default=-1, ge=-1, description="Most optimizer steps; -1 for no such limit."
    )
    per_device_train_batch_size: int = Field(
        default=8, ge=1, description="Examples in a step of each worker."
    )
    gradient_accumulation_steps: int = Field(default=1, ge=1)
    max_length: int = Field(default=512, ge=16, description="Most tokens in an example.")
    lr_scheduler_type: Literal["linear", "cosine", "constant"] = "linear"
    warmup_ratio: float = Field(default=0.05, ge=0, le=1)
    weight_decay: float = Field(default=0.0, ge=0)
    max_grad_norm: float = Field(default=1.0, ge=0, description="0: gradients are not clipped.")
    lora_r: int = Field(default=16, ge=1, description="Rank of the adapter.")
    lora_alpha: int = Field(default=32, ge=1, description="Scale of the adapter.")
    lora_dropout: float = Field(default=0.0, ge=0, lt=1)
    target_modules: tuple[str, ...] | Literal["all-linear"] = "all-linear"
    evals_per_epoch: int = Field(default=1, ge=1, description="Validations in an epoch.")
    early_stopping_patience: int = Field(
        default=2,
        ge=0,
        description="Evaluations without a better one before stopping, by stop_by; 0: never.",
    )
    stop_by: Literal["loss", "answers"] = Field(
        default="loss",
        description="What makes one validation better than another: its loss, or the share of its "
        "answers that greedy decoding would give word for word.",
    )
    seed: int = Field(default=13, ge=0)
    pretraining_epochs: float = Field(
        default=0.0,
        ge=0,
        le=100,
        description="Epochs on the raw passages of the training examples, before the chat stage.",
    )
    pack_tokens: int = Field(
        default=0,
        ge=0,
        description="Tokens computed at once; bounds memory, changes no result. "
        "0: 1024 on CPUs, a whole per_device_train_batch_size on GPUs.",
    )
    checkpoint_dir: str = Field(
        default="",
        description="Folder or gs:// folder; empty: AIP_CHECKPOINT_DIR where set, else none.",
    )
    checkpoint_steps: int = Field(default=50, ge=1, description="Steps between checkpoints.")
    checkpoints_kept: int = Field(default=2, ge=1)
    tensorboard_dir: str = Field(
        default="", description="Folder for events; empty: AIP_TENSORBOARD_LOG_DIR where set."
    )
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="Precision of the frozen weights and of the arithmetic."
    )
    gradient_checkpointing: bool = Field(
        default=False, description="Compute activations twice instead of keeping them."
    )
    num_threads: int = Field(default=0, ge=0, le=256, description="CPU threads; 0: by the machine.")
    load_in_4bit: bool = Field(
        default=False, description="QLoRA: the frozen weights in 4 bits (NF4, by bitsandbytes)."
    )
    torch_compile: bool = Field(
        default=False, description="Compile the layers first; pays in runs of many steps."
    )
    fsdp: bool = Field(
        default=False,
        description="Several workers share the frozen weights (FSDP2) instead of copying them.",
    )

    @model_validator(mode="after")
    def _shards_are_not_quantized(self) -> "TrainingOptions":
        if self.fsdp and self.load_in_4bit:
            raise ValueError("fsdp does not go with load_in_4bit: choose one of the two")
        return self


# What changes where and how fast a run computes, but not what it computes.
INCIDENTAL = {"num_threads", "checkpoint_dir", "checkpoint_steps", "checkpoints_kept"} | {
    "tensorboard_dir",
    "gradient_checkpointing",
    "torch_compile",
    "fsdp",
}
