"""Fine-tune a causal language model with LoRA on chat examples."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.TRAINING, install_kfp_package=False)
def tune_model(
    train_set: dsl.Input[dsl.Dataset],
    validation_set: dsl.Input[dsl.Dataset],
    model: dsl.Output[dsl.Model],
    curves: dsl.Output[dsl.HTML],
    base_model: str = "smollm2-135m-instruct",
    learning_rate: float = 1e-3,
    num_train_epochs: float = 2.0,
    per_device_train_batch_size: int = 8,
    max_length: int = 512,
    lora_r: int = 16,
    lora_alpha: int = 32,
    checkpoint_dir: str = "",
    advanced: dict = {},
) -> None:
    """Writes the adapter, the merged model and `training.json`; uses every GPU of the machine.

    Args:
        model: `adapter/`, `model/` (safetensors, tokenizer, chat template), `training.json`.
        curves: Loss over steps.
        base_model: The bundled SmolLM2, a hub id, a local folder, or a gs:// folder.
        learning_rate: Peak learning rate of the adapter.
        num_train_epochs: Maximum number of passes over the training set.
        per_device_train_batch_size: Examples per step of each worker.
        max_length: Maximum number of tokens of an example.
        lora_r: Rank of the adapter.
        lora_alpha: Scale of the adapter: its output is multiplied by lora_alpha / lora_r.
        checkpoint_dir: Local or gs:// folder; empty: AIP_CHECKPOINT_DIR if set, else no
            checkpoints.
        advanced: Any other field of `doctune.training.TrainingOptions`.
    """
    from pathlib import Path

    from doctune.training import TrainingOptions, tune_on_every_gpu

    summary = tune_on_every_gpu(
        Path(train_set.path),
        Path(validation_set.path),
        Path(model.path),
        TrainingOptions(
            base_model=base_model,
            learning_rate=learning_rate,
            num_train_epochs=num_train_epochs,
            per_device_train_batch_size=per_device_train_batch_size,
            max_length=max_length,
            lora_r=lora_r,
            lora_alpha=lora_alpha,
            **{"checkpoint_dir": checkpoint_dir, **advanced},
        ),
        curves_path=Path(curves.path),
        caps=train_set.metadata.get("caps", ()),
    )
    model.metadata.update(
        base_model=base_model,
        tokens_trained=summary.tokens_trained,
        steps=summary.steps,
        loss_before=summary.loss_before,
        loss_after=summary.loss_after,
        answers_before=summary.answers_before,
        answers_after=summary.answers_after,
        digest=summary.digest,
        caps=list(summary.caps),
        documents_kept_out=train_set.metadata.get("documents_kept_out", 0),
        dataset_digest=train_set.metadata["digest"],
        documents_digest=train_set.metadata["documents_digest"],
    )
