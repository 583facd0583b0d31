"""Useful tokens a second: doctune against TRL's SFTTrainer and Hugging Face's Trainer.

All train the same LoRA on the same examples in the same process, in turns, from the same weights.
On a CPU what counts is the CPU time of the training loop, which neighbours on a shared machine
disturb less than the clock's; on a GPU it is the clock's, after a first turn that does not count,
and the peak of its memory is told too. A useful token is a token of an example: padding is not, and
what doctune computes once for several examples counts for each.

    python benchmarks/training.py [--json] [--seeds 3] [--skip-smollm2]
    python benchmarks/training.py --device cuda --steps 60 --batch 32

The baselines are what a user gets who writes them by hand: TRL with its defaults, and Trainer with
padding to each batch's longest example. Both get the answers-only loss that doctune has, and on a
GPU bfloat16 as well, for weights and arithmetic.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch

from doctune.inference.base_model import DEFAULT_BASE_MODEL, resolve_base_model
from doctune.training import TrainingOptions
from doctune.training.batches import Curriculum, Phase
from doctune.training.examples import Example, Message, tokenize_conversations
from doctune.training.loop import Run, train
from doctune.training.machine import Machine, prepare_machine
from doctune.training.network import AnswerNetwork, load_network, load_tokenizer

LENGTH, RATE, RANK = 512, 1e-3, 16
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@dataclass(frozen=True)
class Trial:
    """One training of some steps."""

    seconds: float  # of CPU time on a CPU, of the clock on a GPU
    peak_bytes: int  # most memory that tensors took on a GPU; 0 on a CPU
    loss: float  # of held-out answers, in nats, in float32


@dataclass(frozen=True, kw_only=True)
class Task:
    """What all trainers get."""

    folder: Path
    tokenizer: Any
    conversations: list[list[Message]]
    examples: list[Example]
    held_out: list[Example]
    steps: int
    batch: int
    options: dict[str, Any]  # further ones of doctune's

    @property
    def useful_tokens(self) -> int:
        """Tokens of all examples."""
        return sum(len(example.input_ids) for example in self.examples)

    def start(self, steps: int) -> Task:
        """Returns the first steps of it."""
        count = steps * self.batch
        return replace(
            self,
            conversations=self.conversations[:count],
            examples=self.examples[:count],
            steps=steps,
        )


def main() -> None:
    """Measures and prints a table, or with `--json` one last line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print the result as a last JSON line")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--batch", type=int, default=8, help="examples a step")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--dtype", choices=["auto", "float32", "bfloat16"], default="auto")
    parser.add_argument("--model", default=DEFAULT_BASE_MODEL, help="a model or its folder")
    parser.add_argument("--options", type=json.loads, default={}, help="more of doctune's, as JSON")
    parser.add_argument("--skip-small", action="store_true", help="leave the 20M Llama out")
    parser.add_argument("--skip-smollm2", action="store_true", help="leave --model out")
    chosen = parser.parse_args()
    if chosen.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    machine = prepare_machine(
        TrainingOptions(
            num_threads=chosen.threads,
            dtype=chosen.dtype,
            per_device_train_batch_size=chosen.batch,
            max_length=LENGTH,
            **chosen.options,
        )
    )
    if machine.device != chosen.device:
        raise SystemExit("There is no GPU that PyTorch can use here.")
    print(f"doctune: {machine.description}")
    result: dict[str, Any] = {"machine": machine.description, "seeds": chosen.seeds}
    model = resolve_base_model(chosen.model)
    if not chosen.skip_small:
        with tempfile.TemporaryDirectory() as temporary:
            small = save_small_llama(Path(temporary, "llama-20m"), model)
            task = make_task(small, chosen.steps, chosen.batch, chosen.options)
            trials = measure(task, machine, chosen.seeds, with_trl=True)
        report("20M Llama", task, trials)
        result |= figures(trials, "")
    if not chosen.skip_smollm2:
        # On a CPU a third of the steps, and not TRL, or it would take too long.
        steps = max(2, chosen.steps // 3) if chosen.device == "cpu" else chosen.steps
        task = make_task(model, steps, chosen.batch, chosen.options)
        trials = measure(task, machine, chosen.seeds, with_trl=chosen.device != "cpu")
        report("SmolLM2-135M" if chosen.model == DEFAULT_BASE_MODEL else model.name, task, trials)
        result |= figures(trials, "_smollm2" if chosen.model == DEFAULT_BASE_MODEL else "_model")
    if chosen.json:
        print(json.dumps(result))


def save_small_llama(folder: Path, bundled: Path) -> Path:
    """Writes a random Llama of 20 million parameters with the bundled tokenizer."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=49152,
        hidden_size=256,
        intermediate_size=768,
        num_hidden_layers=8,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    load_tokenizer(bundled).save_pretrained(folder)
    return folder


def make_task(folder: Path, steps: int, batch: int, options: dict[str, Any]) -> Task:
    """Makes questions and answers of many lengths, as chapters of manuals give them."""
    draw = np.random.default_rng(7)
    things = ["pump", "valve", "cable", "gasket", "sensor", "filter", "bearing", "hose"]
    words = ["check", "the", "pressure", "before", "each", "start", "and", "note", "it", "down"]
    conversations: list[list[Message]] = []
    for number in range(steps * batch + 16):
        thing = things[int(draw.integers(len(things)))]
        length = int(draw.lognormal(3.2, 0.6))
        answer = " ".join(words[int(draw.integers(len(words)))] for _ in range(length))
        question = f"What does section {number} of the handbook say about the {thing}?"
        conversations.append(
            [
                {"role": "user", "content": question},
                {"role": "assistant", "content": f"For the {thing} {number}: {answer}."},
            ]
        )
    tokenizer = load_tokenizer(folder)
    examples = tokenize_conversations(conversations, tokenizer, LENGTH).examples
    kept = steps * batch
    return Task(
        folder=folder,
        tokenizer=tokenizer,
        conversations=conversations[:kept],
        examples=examples[:kept],
        held_out=examples[kept:],
        steps=steps,
        batch=batch,
        options=options,
    )


def measure(task: Task, machine: Machine, seeds: int, *, with_trl: bool) -> dict[str, list[Trial]]:
    """Runs all trainers once a seed, in turns."""
    trainers: dict[str, Callable[[Task, int, Machine], Trial]] = {
        "doctune": by_doctune,
        "hf_trainer": by_hf_trainer,
    }
    if with_trl:
        trainers["trl_default"] = by_trl
    if with_trl and machine.device == "cuda":  # by default TRL computes activations twice
        trainers["trl_fast"] = partial(by_trl, gradient_checkpointing=False)
    trials: dict[str, list[Trial]] = {name: [] for name in trainers}
    if machine.device == "cuda":  # kernels are loaded, and memory is taken, once a process
        short = task.start(2)
        for trainer in trainers.values():
            trainer(short, 0, machine)
    for seed in range(seeds):
        for name, trainer in trainers.items():
            trials[name].append(trainer(task, seed, machine))
    return trials


def by_doctune(task: Task, seed: int, machine: Machine) -> Trial:
    """Trains with doctune's loop, in the precision that it chose for this machine."""
    options = training_options(task, seed)
    network = AnswerNetwork(load_network(task.folder, machine.dtype), options, machine)
    curriculum = Curriculum(
        [Phase(examples=task.examples, epochs=1)], batch_size=task.batch, seed=seed, max_steps=None
    )
    # One example to validate on: the loop wants some, the time should not be of validation.
    run = Run(network=network, curriculum=curriculum, validation=task.held_out[:1], options=options)
    torch.backends.mkldnn.matmul.fp32_precision = "bf16"
    seconds, peak = timed(lambda: train(run), machine)
    return Trial(seconds, peak, held_out_loss(task, network.model))


def by_hf_trainer(task: Task, seed: int, machine: Machine) -> Trial:
    """Trains with transformers' Trainer, padding each batch to its longest example."""
    from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

    rows = [
        {
            "input_ids": example.input_ids,
            "attention_mask": [1] * len(example.input_ids),
            "labels": [
                token if taught else -100
                for token, taught in zip(example.input_ids, example.taught, strict=True)
            ],
        }
        for example in task.examples
    ]
    with tempfile.TemporaryDirectory() as folder, stock_arithmetic():
        trainer = Trainer(
            model=with_lora(task, seed, machine),
            args=TrainingArguments(output_dir=folder, **arguments(task, seed, machine)),
            train_dataset=rows,  # type: ignore[arg-type]
            data_collator=DataCollatorForSeq2Seq(task.tokenizer, padding="longest"),
        )
        seconds, peak = timed(trainer.train, machine)
        return Trial(seconds, peak, held_out_loss(task, trainer.model))


def by_trl(task: Task, seed: int, machine: Machine, **changes: Any) -> Trial:
    """Trains with TRL's SFTTrainer, its defaults left as they are but for some changes."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    rows = [{"prompt": turns[:1], "completion": turns[1:]} for turns in task.conversations]
    with tempfile.TemporaryDirectory() as folder, stock_arithmetic():
        trainer = SFTTrainer(
            model=with_lora(task, seed, machine),
            args=SFTConfig(
                output_dir=folder, max_length=LENGTH, **arguments(task, seed, machine), **changes
            ),
            train_dataset=Dataset.from_list(rows),
            processing_class=task.tokenizer,
        )
        seconds, peak = timed(trainer.train, machine)
        return Trial(seconds, peak, held_out_loss(task, trainer.model))


def training_options(task: Task, seed: int) -> TrainingOptions:
    """Returns doctune's options for the common settings."""
    return TrainingOptions(
        learning_rate=RATE,
        num_train_epochs=1,
        per_device_train_batch_size=task.batch,
        lora_r=RANK,
        lora_alpha=2 * RANK,
        target_modules=tuple(TARGETS),
        max_length=LENGTH,
        warmup_ratio=0,
        early_stopping_patience=0,
        seed=seed,
        **task.options,
    )


def arguments(task: Task, seed: int, machine: Machine) -> dict[str, Any]:
    """Returns what both of Hugging Face's trainers are told."""
    return {
        "per_device_train_batch_size": task.batch,
        "learning_rate": RATE,
        "num_train_epochs": 1,
        "lr_scheduler_type": "linear",
        "seed": seed,
        "report_to": [],
        "save_strategy": "no",
        "logging_strategy": "no",
        "disable_tqdm": True,
        "use_cpu": machine.device == "cpu",
        "bf16": machine.device == "cuda",
    }


def with_lora(task: Task, seed: int, machine: Machine) -> Any:
    """Returns the base model with PEFT's LoRA: in float32 on a CPU, in bfloat16 on a GPU."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    config = LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=TARGETS, task_type="CAUSAL_LM")
    dtype = torch.float32 if machine.device == "cpu" else torch.bfloat16
    return get_peft_model(load_network(task.folder, dtype), config)


@contextlib.contextmanager
def stock_arithmetic() -> Iterator[None]:
    """Undoes doctune's choice of matrix product while a baseline trains."""
    setting: Any = torch.backends.mkldnn.matmul
    before = setting.fp32_precision
    setting.fp32_precision = "none"
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        setting.fp32_precision = before


def timed(work: Callable[[], object], machine: Machine) -> tuple[float, int]:
    """Returns the seconds that some work took, and the most bytes that it took of the GPU."""
    if machine.device == "cpu":
        start = time.process_time()  # of all threads
        work()
        return time.process_time() - start, 0
    gc.collect()  # trainers before this one have left circles behind that hold memory
    torch.cuda.reset_peak_memory_stats()
    torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - start, torch.cuda.max_memory_allocated()


def held_out_loss(task: Task, model: Any) -> float:
    """Returns the loss on held-out answers of a trained model, by one and the same code."""
    model.float().eval()
    total, count = 0.0, 0
    stock = model.get_base_model().config._attn_implementation
    model.get_base_model().set_attn_implementation("sdpa")
    with torch.inference_mode():
        for example in task.held_out:
            ids = torch.tensor([example.input_ids], device=model.device)
            logits = model(input_ids=ids, use_cache=False).logits[0, :-1].float()
            losses = torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="none")
            taught = torch.tensor(example.taught[1:], device=model.device)
            total += losses[taught].sum().item()
            count += int(taught.sum())
    model.get_base_model().set_attn_implementation(stock)
    return total / count


def figures(trials: dict[str, list[Trial]], suffix: str) -> dict[str, Any]:
    """Returns what `--json` tells of one model: ratios, losses and, of a GPU, memory in GiB."""
    told: dict[str, Any] = {
        f"ratio_vs_{name}{suffix}": ratio(trials, name) for name in trials if name != "doctune"
    }
    told[f"losses{suffix}"] = {
        name: [round(trial.loss, 4) for trial in done] for name, done in trials.items()
    }
    told[f"peak_gib{suffix}"] = {
        name: round(max(trial.peak_bytes for trial in done) / 2**30, 2)
        for name, done in trials.items()
    }
    return told


def ratio(trials: dict[str, list[Trial]], baseline: str) -> float:
    """Returns doctune's tokens a second over the baseline's, the median of the turns."""
    pairs = zip(trials["doctune"], trials[baseline], strict=True)
    return round(statistics.median(other.seconds / own.seconds for own, other in pairs), 3)


def report(title: str, task: Task, trials: dict[str, list[Trial]]) -> None:
    """Prints a table."""
    print(f"\n{title}: {task.steps} steps of {task.batch}, {task.useful_tokens} useful tokens")
    for name, done in trials.items():
        speeds = " ".join(f"{task.useful_tokens / trial.seconds:6.0f}" for trial in done)
        mean = statistics.mean(trial.loss for trial in done)
        spread = statistics.stdev(trial.loss for trial in done) if len(done) > 1 else 0.0
        peak = max(trial.peak_bytes for trial in done)
        unit = f"tokens/s, {peak / 2**30:5.2f} GiB" if peak else "tokens/CPU-s"
        print(f"  {name:12} {speeds} {unit}   held-out loss {mean:.4f} (sd {spread:.4f})")


if __name__ == "__main__":
    main()
