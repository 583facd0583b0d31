"""A causal language model with LoRA, and its loss on packed examples.

Examples are concatenated in one row, without padding, and do not attend to each other. Where the
architecture allows, `packed_attention` sees to that. Elsewhere, position ids restart with each
example, from which transformers builds a block-diagonal mask if it gets neither attention mask nor
cache. The language-model head, a quarter of a small model's work, runs for the label tokens only.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from doctune.errors import ModelError, TrainingError
from doctune.training import packed_attention
from doctune.training.examples import PLAIN_CHAT_TEMPLATE, Example
from doctune.training.fast_lora import use_fast_lora
from doctune.training.machine import Machine
from doctune.training.options import TrainingOptions

# PEFT loads bitsandbytes wherever it is installed. It warns once per process about missing parts,
# and on each call of each layer about casts.
logging.getLogger("bitsandbytes").setLevel(logging.CRITICAL)


@dataclass(frozen=True, kw_only=True)
class Pack:
    """Several examples in one row of tokens, after a common prefix."""

    input_ids: torch.Tensor  # [1, tokens]
    position_ids: torch.Tensor  # [1, tokens]; each example continues from the prefix
    lengths: tuple[int, ...]  # of the prefix, then of each example's remainder
    predicting: torch.Tensor  # [labels]: positions whose next token counts
    targets: torch.Tensor  # [labels]: those next tokens

    @classmethod
    def from_examples(cls, examples: Sequence[Example], device: str, *, share_prefix: bool) -> Pack:
        """Packs examples in the order given.

        Args:
            share_prefix: Compute the common prefix only once; needs `packed_attention`.
        """
        prefix = _common_prefix(examples) if share_prefix else 0
        ids = list(examples[0].input_ids[:prefix])
        positions = list(range(prefix))
        predicting: list[int] = []
        targets: list[int] = []
        for example in examples:
            start = len(ids) - prefix
            ids += example.input_ids[prefix:]
            positions += range(prefix, len(example.input_ids))
            for index, taught in enumerate(example.taught):
                if taught and index:
                    predicting.append(start + index - 1)
                    targets.append(example.input_ids[index])
        return cls(
            input_ids=torch.tensor([ids], device=device),
            position_ids=torch.tensor([positions], device=device),
            lengths=(prefix, *(len(example.input_ids) - prefix for example in examples)),
            predicting=torch.tensor(predicting, device=device),
            targets=torch.tensor(targets, device=device),
        )


def _common_prefix(examples: Sequence[Example]) -> int:
    """Returns the length of the common prefix, which ends before the first label's predictor."""
    if len(examples) == 1:
        return 0
    first = examples[0].input_ids
    length = min(_first_taught(example) for example in examples) - 1
    for example in examples[1:]:
        other = example.input_ids
        length = next((i for i in range(length) if first[i] != other[i]), length)
    return max(0, length)


def _first_taught(example: Example) -> int:
    return example.taught.index(True, 1)


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


def load_network(folder: Path, dtype: torch.dtype | str, *, in_4bit: bool = False) -> Any:
    """Returns the causal language model of a folder, on the CPU; `dtype` "auto" is the stored one.

    Args:
        in_4bit: Quantize its linear layers to NF4 (QLoRA, arXiv 2305.14314); on the GPU if there is
            one, since bitsandbytes quantizes there.

    Raises:
        ModelError: There is none that transformers can load.
    """
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    quantized = _in_4bit(dtype) if in_4bit else {}
    try:
        return AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, **quantized
        )
    # Damaged weights raise safetensors' own error, a wrong configuration various others.
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise ModelError(f"{folder} holds no model that can be loaded: {reason}.") from error


def _in_4bit(dtype: torch.dtype | str) -> dict[str, Any]:
    from transformers import BitsAndBytesConfig

    require_bitsandbytes()
    settings = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return {"quantization_config": settings, "device_map": {"": device}}


def require_bitsandbytes() -> None:
    """Checks that bitsandbytes, for 4 and 8 bits, is installed.

    Raises:
        TrainingError: bitsandbytes is not installed.
    """
    if importlib.util.find_spec("bitsandbytes") is None:
        raise TrainingError("4 and 8 bits need bitsandbytes: run `pip install bitsandbytes`.")


class AnswerNetwork:
    """A causal language model with an adapter, and its loss on the answers in a pack."""

    def __init__(self, base: Any, options: TrainingOptions, machine: Machine) -> None:
        """Adds LoRA to the chosen layers, and moves the network to the machine's device.

        Raises:
            ModelError: `target_modules` names no layer of this network.
        """
        self.device = machine.device
        self.pack_tokens = machine.pack_tokens
        # The fused kernels on GPUs do not support grouped-query attention in float32.
        fits = machine.device == "cpu" or machine.dtype == torch.bfloat16
        self.shares_prefix = fits and packed_attention.suits(base.config, options.max_length)
        if self.shares_prefix:
            packed_attention.register()
            base.set_attn_implementation(packed_attention.NAME)
        elif machine.attention:
            base.set_attn_implementation(machine.attention)
        self.model: Any = _with_adapter(base, options).to(machine.device)
        use_fast_lora(self.model)
        if options.torch_compile:
            _compile_layers(self.model)
        if options.gradient_checkpointing:
            self.model.gradient_checkpointing_enable({"use_reentrant": False})
        self.weights: list[torch.Tensor] = [
            weight for weight in self.model.parameters() if weight.requires_grad
        ]

    def pack(self, examples: Sequence[Example]) -> Pack:
        """Packs examples for this network."""
        return Pack.from_examples(examples, self.device, share_prefix=self.shares_prefix)

    def loss(self, pack: Pack) -> torch.Tensor:
        """Returns the summed cross-entropy, in nats, of the tokens that count."""
        logits = self.logits(pack, pack.predicting)
        return torch.nn.functional.cross_entropy(logits.float(), pack.targets, reduction="sum")

    def check(self, pack: Pack, examples: Sequence[Example]) -> tuple[float, int]:
        """Returns the loss, as `loss`, and the number of exact-match answers.

        Greedy decoding gives an answer exactly if each of its tokens is the likeliest one after
        those before it, so the check needs no generation.

        Args:
            examples: The examples in the pack, in its order.
        """
        logits = self.logits(pack, pack.predicting).float()
        loss = torch.nn.functional.cross_entropy(logits, pack.targets, reduction="sum").item()
        hits = (logits.argmax(-1) == pack.targets).cpu()
        answers = hits.split([example.labels for example in examples])
        return loss, sum(bool(answer.all()) for answer in answers)

    def logits(self, pack: Pack, positions: torch.Tensor) -> torch.Tensor:
        """Returns the logits [positions, vocabulary] after the tokens at some positions."""
        if self.shares_prefix:
            packed_attention.set_lengths(pack.lengths, self.device)
        output = self.model(
            input_ids=pack.input_ids,
            position_ids=pack.position_ids,
            use_cache=False,
            logits_to_keep=positions,
        )
        return output.logits[0]


def _compile_layers(model: Any) -> None:
    """Compiles the decoder layers one by one: they share one compilation."""
    packed_attention.leave_uncompiled()
    names = set(model.get_base_model()._no_split_modules or ())
    for module in model.modules():
        if type(module).__name__ in names:
            module.compile(dynamic=True)


def _with_adapter(base: Any, options: TrainingOptions) -> Any:
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
        return get_peft_model(base, config)
    except ValueError as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"training.target_modules does not fit the base model: {reason}"
        ) from error
