"""The options of training."""

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
        default=2.0, gt=0, le=1000, description="Maximum number of passes over the training set."
    )
    max_steps: int = Field(
        default=-1, ge=-1, description="Maximum number of optimizer steps; -1 for no limit."
    )
    per_device_train_batch_size: int = Field(
        default=8, ge=1, description="Examples per step of each worker."
    )
    gradient_accumulation_steps: int = Field(default=1, ge=1)
    max_length: int = Field(
        default=512, ge=16, description="Maximum number of tokens of an example."
    )
    lr_scheduler_type: Literal["linear", "cosine", "constant"] = "linear"
    warmup_ratio: float = Field(default=0.05, ge=0, le=1)
    weight_decay: float = Field(default=0.0, ge=0)
    max_grad_norm: float = Field(default=1.0, ge=0, description="0: gradients are not clipped.")
    lora_r: int = Field(default=16, ge=1, description="Rank of the adapter.")
    lora_alpha: int = Field(
        default=32,
        ge=1,
        description="Scale of the adapter: its output is multiplied by lora_alpha / lora_r.",
    )
    lora_dropout: float = Field(default=0.0, ge=0, lt=1)
    target_modules: tuple[str, ...] | Literal["all-linear"] = "all-linear"
    evals_per_epoch: int = Field(default=1, ge=1, description="Validations per epoch.")
    early_stopping_patience: int = Field(
        default=2,
        ge=0,
        description="Validations without improvement of stop_by before stopping; 0: never.",
    )
    stop_by: Literal["loss", "answers"] = Field(
        default="loss",
        description="What early stopping compares: the validation loss, or the share of the "
        "validation answers that greedy decoding gives word for word.",
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
        description="Tokens computed at once; bounds memory, does not change the result. "
        "0: 1024 on CPUs, a whole per_device_train_batch_size on GPUs.",
    )
    checkpoint_dir: str = Field(
        default="",
        description="Local or gs:// folder; empty: AIP_CHECKPOINT_DIR if set, else no checkpoints.",
    )
    checkpoint_steps: int = Field(default=50, ge=1, description="Steps between checkpoints.")
    checkpoints_kept: int = Field(default=2, ge=1)
    tensorboard_dir: str = Field(
        default="", description="Folder for events; empty: AIP_TENSORBOARD_LOG_DIR if set."
    )
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="Precision of the frozen weights and of the arithmetic."
    )
    gradient_checkpointing: bool = Field(
        default=False, description="Recompute activations in the backward pass, to save memory."
    )
    num_threads: int = Field(
        default=0, ge=0, le=256, description="CPU threads; 0: OMP_NUM_THREADS, or one per core."
    )
    load_in_4bit: bool = Field(
        default=False, description="QLoRA: the frozen weights in 4 bits (NF4, by bitsandbytes)."
    )
    torch_compile: bool = Field(
        default=False, description="Compile the layers (torch.compile); worth it in long runs."
    )
    fsdp: bool = Field(
        default=False,
        description="Shard the frozen weights over the workers (FSDP2) instead of copying them.",
    )

    @model_validator(mode="after")
    def _shards_are_not_quantized(self) -> "TrainingOptions":
        if self.fsdp and self.load_in_4bit:
            raise ValueError("fsdp cannot be combined with load_in_4bit: choose one of the two")
        return self


# Options that change where and how fast a run computes, but not its result.
INCIDENTAL = {"num_threads", "checkpoint_dir", "checkpoint_steps", "checkpoints_kept"} | {
    "tensorboard_dir",
    "gradient_checkpointing",
    "torch_compile",
    "fsdp",
}
