"""Preference tuning of a tuned model: DPO, from pairs of a better and a worse answer.

The pairs come from people's feedback. TRL's DPOTrainer trains a new LoRA adapter on the tuned
model, which is also the reference that keeps it from straying; the result has the layout of
`tune_model`'s, with the adapter relative to the model that was given.
"""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from doctune.digests import digest_file, digest_folder
from doctune.errors import DatasetError, ModelError, TrainingError
from doctune.files import atomic_folder, write_json
from doctune.progress import Bar, progress
from doctune.training.machine import prepare_machine
from doctune.training.network import load_network, load_tokenizer
from doctune.training.options import TrainingOptions
from doctune.training.outputs import clear_write_failures, save_model


class PreferenceOptions(BaseModel):
    """Settings of `tune_preferences`; names follow TRL."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    learning_rate: float = Field(default=5e-5, gt=0, le=1)
    num_train_epochs: float = Field(default=1.0, gt=0, le=100)
    per_device_train_batch_size: int = Field(default=4, ge=1)
    max_length: int = Field(default=512, ge=16)
    beta: float = Field(default=0.1, gt=0, description="How strongly the model is held back.")
    lora_r: int = Field(default=16, ge=1)
    lora_alpha: int = Field(default=32, ge=1)
    seed: int = Field(default=13, ge=0)


@dataclass(frozen=True, kw_only=True)
class PreferenceSummary:
    """What preference tuning did."""

    pairs: int
    steps: int
    margin_before: float  # mean log-odds of the better answer over the worse, against the reference
    margin_after: float
    seconds: float


def read_pairs(path: Path) -> list[dict[str, Any]]:
    """Reads JSONL rows of `prompt` (chat messages or a text), `chosen` and `rejected` (texts).

    Raises:
        DatasetError: The file is missing, empty or malformed; the message names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} cannot be read: {error}.") from error
    pairs = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            prompt, chosen, rejected = row["prompt"], row["chosen"], row["rejected"]
        except (ValueError, KeyError, TypeError) as error:
            raise DatasetError(
                f"{path}, line {number}: needs prompt, chosen and rejected ({error})."
            ) from error
        if not (isinstance(chosen, str) and isinstance(rejected, str)) or chosen == rejected:
            raise DatasetError(
                f"{path}, line {number}: chosen and rejected must be two different texts."
            )
        messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        pairs.append(
            {
                "prompt": messages,
                "chosen": [{"role": "assistant", "content": chosen}],
                "rejected": [{"role": "assistant", "content": rejected}],
            }
        )
    if not pairs:
        raise DatasetError(f"{path} holds no pairs: collect feedback first.")
    return pairs


def tune_preferences(
    pairs_path: Path,
    model_dir: Path,
    out_dir: Path,
    options: PreferenceOptions | None = None,
) -> PreferenceSummary:
    """Trains a tuned model to prefer the better answers.

    Args:
        pairs_path: See `read_pairs`.
        model_dir: What `tune_model` wrote; also the reference.
        out_dir: Replaced as a whole when all went well, else left as it was.

    Raises:
        DatasetError: The pairs cannot be used.
        ModelError: There is no tuned model in `model_dir`.
        TrainingError: The loss is no longer a number, or the disk is full.
    """
    chosen, start = options or PreferenceOptions(), time.monotonic()
    base = model_dir / "model"
    if not (base / "config.json").is_file():
        raise ModelError(f"{model_dir} holds no tuned model: give a folder that training wrote.")
    pairs = read_pairs(pairs_path)
    prepare_machine(TrainingOptions(dtype="float32"))
    tokenizer = load_tokenizer(base)
    with tempfile.TemporaryDirectory() as scratch:
        trainer = _trainer(base, tokenizer, pairs, chosen, scratch)
        margins = _train(trainer, len(pairs), chosen)
    settings = TrainingOptions(
        base_model=str(base), lora_r=chosen.lora_r, lora_alpha=chosen.lora_alpha
    )
    summary = PreferenceSummary(
        pairs=len(pairs),
        steps=int(trainer.state.global_step),
        margin_before=margins[0],
        margin_after=margins[1],
        seconds=round(time.monotonic() - start, 3),
    )
    with clear_write_failures(out_dir), atomic_folder(out_dir) as folder:
        save_model(trainer.model, base, tokenizer, settings, folder)
        before = json.loads((model_dir / "training.json").read_text())
        record = {
            "base_model": before["base_model"],
            "preferences": {
                **asdict(summary),
                "options": chosen.model_dump(),
                "data": digest_file(pairs_path),
                "reference_digest": digest_folder(base),
            },
            "before": before,
        }
        write_json(folder / "training.json", record)
    return summary


def _trainer(
    base: Path,
    tokenizer: Any,
    pairs: list[dict[str, Any]],
    options: PreferenceOptions,
    scratch: str,
) -> Any:
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from trl import DPOConfig, DPOTrainer

    cuda = torch.cuda.is_available()
    data = Dataset.from_list(pairs)
    return DPOTrainer(
        model=load_network(base, torch.bfloat16 if cuda else torch.float32),
        args=DPOConfig(
            output_dir=scratch,
            learning_rate=options.learning_rate,
            num_train_epochs=options.num_train_epochs,
            per_device_train_batch_size=options.per_device_train_batch_size,
            per_device_eval_batch_size=options.per_device_train_batch_size,
            max_length=options.max_length,
            beta=options.beta,
            seed=options.seed,
            use_cpu=not cuda,
            bf16=cuda,
            gradient_checkpointing=False,  # costs a third of the time; short answers need it not
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
        ),
        train_dataset=data,
        eval_dataset=data,
        processing_class=tokenizer,
        peft_config=LoraConfig(
            r=options.lora_r,
            lora_alpha=options.lora_alpha,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        ),
    )


def _train(trainer: Any, pairs: int, options: PreferenceOptions) -> tuple[float, float]:
    """Trains, and returns the reward margin before and after."""
    from transformers import TrainerCallback

    batch = options.per_device_train_batch_size
    total = max(1, round(-(-pairs // batch) * options.num_train_epochs))
    with progress("Tuning preferences", total, "steps") as bar:

        class _Watch(TrainerCallback):
            def __init__(self, shown: Bar) -> None:
                self._shown = shown

            def on_step_end(self, *_: Any, **__: Any) -> None:
                self._shown.advance()

        trainer.add_callback(_Watch(bar))
        before = trainer.evaluate()
        trainer.train()
        after = trainer.evaluate()
    loss = after["eval_loss"]
    if not loss < float("inf"):
        raise TrainingError(f"The preference loss is {loss}: lower the learning rate.")
    return float(before["eval_rewards/margins"]), float(after["eval_rewards/margins"])
