"""The network that is trained: a causal language model with LoRA, and its loss on packed examples.

Examples stand one behind the other in one row, without padding. They do not see each other: the
positions restart with each example, and with `attention_mask=None` and `use_cache=False`
transformers builds a block-diagonal mask from that. The language-model head, a quarter of a small
model's work, runs for the tokens that count in the loss only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doctune.errors import ModelError
from doctune.training.examples import PLAIN_CHAT_TEMPLATE, Example
from doctune.training.machine import Machine
from doctune.training.options import TrainingOptions

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class Pack:
    """Some examples in one row of tokens."""

    input_ids: torch.Tensor  # [1, tokens]
    position_ids: torch.Tensor  # [1, tokens], restarting with each example
    predicting: torch.Tensor  # [labels]: positions whose next token counts
    targets: torch.Tensor  # [labels]: those next tokens

    @classmethod
    def of(cls, examples: Sequence[Example], device: str) -> Pack:
        """Packs examples in the order given."""
        import torch

        ids: list[int] = []
        positions: list[int] = []
        predicting: list[int] = []
        targets: list[int] = []
        for example in examples:
            start = len(ids)
            ids += example.input_ids
            positions += range(len(example.input_ids))
            for index, taught in enumerate(example.taught):
                if taught and index:
                    predicting.append(start + index - 1)
                    targets.append(example.input_ids[index])
        return cls(
            input_ids=torch.tensor([ids], device=device),
            position_ids=torch.tensor([positions], device=device),
            predicting=torch.tensor(predicting, device=device),
            targets=torch.tensor(targets, device=device),
        )


def load_tokenizer(folder: Path) -> Any:
    """Returns the tokenizer of a model folder, with a chat template.

    Raises:
        ModelError: There is none that transformers can load.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{folder} holds no tokenizer that can be loaded: {error}.") from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    if not tokenizer.chat_template:
        tokenizer.chat_template = PLAIN_CHAT_TEMPLATE
    return tokenizer


def load_network(folder: Path, dtype: torch.dtype | str) -> Any:
    """Returns the causal language model of a folder, on the CPU; `dtype` "auto" is the stored one.

    Raises:
        ModelError: There is none that transformers can load.
    """
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    try:
        return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, use_safetensors=True)
    # Broken weights raise safetensors' own error, a bad configuration one of several others.
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise ModelError(f"{folder} holds no model that can be loaded: {reason}.") from error


def add_adapter(network: Any, options: TrainingOptions, machine: Machine) -> Any:
    """Returns the network with LoRA in the layers chosen, on the machine's device.

    Raises:
        ModelError: `target_modules` names no layer of this network.
    """
    import torch
    from peft import LoraConfig, get_peft_model

    targets = options.target_modules
    config = LoraConfig(
        r=options.lora_r,
        lora_alpha=options.lora_alpha,
        lora_dropout=options.lora_dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        task_type="CAUSAL_LM",
    )
    torch.manual_seed(options.seed)
    try:
        adapted: Any = get_peft_model(network, config)
    except ValueError as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"training.target_modules does not fit the base model: {reason}"
        ) from error
    return adapted.to(machine.device)


def answer_loss(network: Any, pack: Pack) -> torch.Tensor:
    """Returns the summed cross-entropy, in nats, of the tokens that count."""
    import torch

    logits = network(
        input_ids=pack.input_ids,
        position_ids=pack.position_ids,
        use_cache=False,
        logits_to_keep=pack.predicting,
    ).logits[0]
    return torch.nn.functional.cross_entropy(logits.float(), pack.targets, reduction="sum")
