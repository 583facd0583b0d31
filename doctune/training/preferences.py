"""Preference tuning of a tuned model with DPO or KTO.

The pairs of a better and a worse answer come from users' feedback. TRL's trainers train a new LoRA
adapter on the tuned model, which is also the reference model. The result has the layout of
`tune_model`'s; its adapter is relative to the tuned model.

DPO (arXiv 2305.18290) learns from pairs. KTO (arXiv 2402.01306) learns from single answers that are
each good or bad, so it also takes rows with one answer and a label.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from doctune.digests import digest_file, digest_folder
from doctune.errors import DatasetError, TrainingError
from doctune.files import text_lines, write_json
from doctune.progress import Bar, progress
from doctune.publishing import published_folder
from doctune.training.machine import prepare_machine
from doctune.training.network import load_network, load_tokenizer
from doctune.training.options import TrainingOptions
from doctune.training.outputs import explain_write_errors, save_model, tuned_weights


class PreferenceOptions(BaseModel):
    """Settings of `tune_preferences`; names follow TRL."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["dpo", "kto"] = Field(
        default="dpo", description="kto also takes single answers labelled good or bad."
    )
    learning_rate: float = Field(default=5e-5, gt=0, le=1)
    num_train_epochs: float = Field(default=1.0, gt=0, le=100)
    per_device_train_batch_size: int = Field(default=4, ge=1)
    max_length: int = Field(default=512, ge=16)
    beta: float = Field(
        default=0.1, gt=0, description="How strongly the reference model constrains the tuned one."
    )
    lora_r: int = Field(default=16, ge=1)
    lora_alpha: int = Field(default=32, ge=1)
    seed: int = Field(default=13, ge=0)


@dataclass(frozen=True, kw_only=True)
class PreferenceSummary:
    """The result of preference tuning."""

    method: str
    pairs: int  # with kto: answers, good or bad
    steps: int
    margin_before: float  # mean reward margin of the better answer, relative to the reference
    margin_after: float
    seconds: float


def read_pairs(path: Path) -> list[dict[str, Any]]:
    """Reads JSONL rows of `prompt` (chat messages or a text), `chosen` and `rejected` (texts).

    Raises:
        DatasetError: The file is missing, empty or malformed; the message names the line.
    """
    pairs = []
    for place, row in _rows(path):
        _need(place, row, "prompt", "chosen", "rejected")
        pairs.append(_pair(place, row))
    return pairs


def read_verdicts(path: Path) -> list[dict[str, Any]]:
    """Reads JSONL rows of `prompt`, `completion` (a text) and `label` (true for a good answer).

    A row with `chosen` and `rejected` counts as one good and one bad answer.

    Raises:
        DatasetError: The file is missing, empty or malformed, or all answers are alike.
    """
    verdicts: list[dict[str, Any]] = []
    for place, row in _rows(path):
        if "chosen" in row:
            _need(place, row, "prompt", "chosen", "rejected")
            pair = _pair(place, row)
            for name in ("chosen", "rejected"):
                verdict = {"completion": pair[name], "label": name == "chosen"}
                verdicts.append({"prompt": pair["prompt"], **verdict})
            continue
        _need(place, row, "prompt", "completion", "label")
        completion, label = row["completion"], row["label"]
        if not isinstance(completion, str) or not isinstance(label, bool):
            raise DatasetError(f"{place}: completion must be a text and label true or false.")
        verdicts.append({"prompt": _prompt(row), "completion": _answer(completion), "label": label})
    if len({verdict["label"] for verdict in verdicts}) < 2:
        raise DatasetError(
            f"{path}: kto needs good and bad answers; all of these have the same label."
        )
    return verdicts


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    found = False
    try:
        for number, line in text_lines(path):
            place, found = f"{path}, line {number}", True
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            yield place, row if isinstance(row, dict) else {}
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} cannot be read: {error}.") from error
    if not found:
        raise DatasetError(f"{path} holds no pairs: collect feedback first.")


def _need(place: str, row: dict[str, Any], *names: str) -> None:
    if missing := [name for name in names if name not in row]:
        needs = f"{', '.join(names[:-1])} and {names[-1]}"
        raise DatasetError(f"{place}: needs {needs} (without: {', '.join(missing)}).")


def _pair(place: str, row: dict[str, Any]) -> dict[str, Any]:
    chosen, rejected = row["chosen"], row["rejected"]
    if not (isinstance(chosen, str) and isinstance(rejected, str)) or chosen == rejected:
        raise DatasetError(f"{place}: chosen and rejected must be two different texts.")
    return {"prompt": _prompt(row), "chosen": _answer(chosen), "rejected": _answer(rejected)}


def _prompt(row: dict[str, Any]) -> Any:
    prompt = row["prompt"]
    return [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt


def _answer(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


def tune_preferences(
    pairs_path: Path,
    model_dir: Path,
    out_dir: Path,
    options: PreferenceOptions | None = None,
) -> PreferenceSummary:
    """Trains a tuned model to prefer the better answers.

    Args:
        pairs_path: See `read_pairs`; with kto see `read_verdicts`.
        model_dir: A folder that `tune_model` wrote; also the reference model.
        out_dir: Replaced atomically on success; the manifest is written last.

    Raises:
        DatasetError: The pairs cannot be used.
        ModelError: There is no tuned model in `model_dir`.
        TrainingError: The loss is no longer finite, or the disk is full.
    """
    chosen, start = options or PreferenceOptions(), time.monotonic()
    base = tuned_weights(model_dir)
    read = {"dpo": read_pairs, "kto": read_verdicts}[chosen.method]
    pairs = read(pairs_path)
    prepare_machine(TrainingOptions(dtype="float32"))
    tokenizer = load_tokenizer(base)
    with tempfile.TemporaryDirectory() as scratch:
        trainer = _trainer(base, tokenizer, pairs, chosen, scratch)
        margins = _train(trainer, len(pairs), chosen)
    summary = PreferenceSummary(
        method=chosen.method,
        pairs=len(pairs),
        steps=int(trainer.state.global_step),
        margin_before=margins[0],
        margin_after=margins[1],
        seconds=round(time.monotonic() - start, 3),
    )
    settings = TrainingOptions(
        base_model=str(base), lora_r=chosen.lora_r, lora_alpha=chosen.lora_alpha
    )
    with explain_write_errors(out_dir), published_folder(out_dir) as folder:
        save_model(trainer.model, base, tokenizer, settings, folder)
        record = _record(summary, chosen, model_dir, pairs_path)
        write_json(folder / "training.json", record)
    return summary


def _record(
    summary: PreferenceSummary, options: PreferenceOptions, model_dir: Path, pairs_path: Path
) -> dict[str, Any]:
    """Returns the content of `training.json`: that of the tuned model, and how it was changed."""
    before = json.loads((model_dir / "training.json").read_text())
    return {
        "base_model": before["base_model"],
        "preferences": {
            **asdict(summary),
            "options": options.model_dump(),
            "data": digest_file(pairs_path),
            "reference_digest": digest_folder(model_dir / "model"),
        },
        "before": before,
    }


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
    from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer

    configuration, trainer = {
        "dpo": (DPOConfig, DPOTrainer),
        "kto": (KTOConfig, KTOTrainer),
    }[options.method]
    cuda = torch.cuda.is_available()
    data = Dataset.from_list(pairs)
    return trainer(
        model=load_network(base, torch.bfloat16 if cuda else torch.float32),
        args=configuration(
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
            gradient_checkpointing=False,  # costs a third of the time; not needed for short answers
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
    return _margin(before), _margin(after)


def _margin(metrics: dict[str, float]) -> float:
    # KTO's own margin covers only the last batch with both labels, so use the two means.
    return float(metrics["eval_rewards/chosen"] - metrics["eval_rewards/rejected"])
