"""Answers from a causal language model: batched, with the tokenizer's own chat template.

One implementation serves the model server, the evaluation and the command line, so that what is
scored is what is deployed. It decodes with the key-value cache, and does no work that no answer
needs:

- prompts of like length are batched, as many as `batch_size` and `CACHE_BYTES` allow;
- what all prompts of a batch begin with (the template's system turn) is read once;
- an answer that has ended leaves the batch at once, so a long answer never makes short ones wait.

Against `model.generate` of transformers with the same batches that is three times the speed on a
CPU (benchmarks/evaluation.py). Decoding is plain: greedy, or temperature and top-p; penalties that
a model's generation_config.json asks for are not applied.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doctune.errors import ModelError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Message = dict[str, str]

CACHE_BYTES = 512 << 20  # most memory that a batch's keys and values may take
PREFILL_TOKENS = 4096  # most prompt tokens that are read together
_LEAST_SHARED_PREFIX = 8


@dataclass(frozen=True, kw_only=True)
class GenerationOptions:
    """How to decode. `temperature` 0 is greedy. With a seed, an answer is the same in any batch."""

    max_new_tokens: int = 128
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None


@dataclass(frozen=True, kw_only=True)
class Completion:
    """One answer."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    finish_reason: str  # "stop" or "length"


def _is_quantized(folder: Path) -> bool:
    text = (folder / "config.json").read_text(encoding="utf-8")
    return bool(json.loads(text).get("quantization_config"))


class TextGenerator:
    """A loaded model and tokenizer that answer conversations."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        # The stubs of transformers describe unions that no caller of one conversation meets.
        self.model: Any = model
        self.tokenizer: Any = tokenizer

    @classmethod
    def load(cls, folder: Path) -> TextGenerator:
        """Loads safetensors weights, in 4 or 8 bits where they are stored so, and the tokenizer.

        Raises:
            ModelError: The folder does not hold a model that transformers can load here.
        """
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        from doctune.onednn import pack_linears

        device = "cuda" if torch.cuda.is_available() else "cpu"
        # CPUs without bf16 matrix units are slower in bf16 than in float32.
        dtype = torch.bfloat16 if device == "cuda" else torch.float32
        try:
            tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            quantized = _is_quantized(folder)
            # Quantized weights cannot be moved once they are loaded.
            where: dict[str, Any] = {"device_map": {"": device}} if quantized else {}
            model: Any = AutoModelForCausalLM.from_pretrained(
                folder, dtype=dtype, use_safetensors=True, local_files_only=True, **where
            )
        # A library that the quantized weights need and that is not here is an ImportError.
        except (OSError, ValueError, KeyError, ImportError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ModelError(f"{folder} holds no model that can be loaded: {reason}.") from error
        model = (model if quantized else model.to(device)).eval()
        pack_linears(model)
        return cls(model, tokenizer)

    def generate(
        self,
        conversations: Sequence[Sequence[Message]],
        options: GenerationOptions | None = None,
        *,
        batch_size: int = 16,
        on_batch: Callable[[int], None] | None = None,
        on_answer: Callable[[int, Completion], None] | None = None,
    ) -> list[Completion]:
        """Answers each conversation, in the order given.

        Args:
            conversations: Chat messages (`role`, `content`) that end with the user's turn.
            batch_size: Most conversations decoded together; fewer where memory asks for it.
            on_batch: Called after each batch with the number of conversations it answered.
            on_answer: Called with the position and the answer as soon as each is complete.
        """
        import torch

        chosen = options or GenerationOptions()
        prompts = [self.encode(messages) for messages in conversations]
        answers: dict[int, Completion] = {}
        for batch in self.plan_batches([len(prompt) for prompt in prompts], chosen, batch_size):
            with torch.inference_mode():
                for row, tokens, stopped in self._decode([prompts[i] for i in batch], chosen):
                    index = batch[row]
                    answers[index] = self._completion(prompts[index], tokens, stopped)
                    if on_answer:
                        on_answer(index, answers[index])
            if on_batch:
                on_batch(len(batch))
        return [answers[index] for index in range(len(prompts))]

    def encode(self, messages: Sequence[Message]) -> list[int]:
        """Returns the prompt's token ids, by the chat template, ready for the answer to follow."""
        encoded = self.tokenizer.apply_chat_template(
            list(messages), add_generation_prompt=True, tokenize=True, return_dict=True
        )
        return list(encoded["input_ids"])

    def stop_tokens(self) -> set[int]:
        """Returns the ids of the tokens that end a turn."""
        configured = self.model.generation_config.eos_token_id
        ids = configured if isinstance(configured, list) else [configured]
        return {token for token in [*ids, self.tokenizer.eos_token_id] if token is not None}

    def plan_batches(
        self, lengths: Sequence[int], options: GenerationOptions, batch_size: int
    ) -> list[list[int]]:
        """Groups prompts of like length into batches whose cache and prompts fit the bounds.

        Args:
            lengths: Tokens of each prompt.

        Returns:
            Positions in `lengths`, longest prompts first so that too much memory shows early.
        """
        cached_tokens = CACHE_BYTES // self._cache_bytes_per_token()
        batches: list[list[int]] = []
        widest = 0
        for index in sorted(range(len(lengths)), key=lambda position: -lengths[position]):
            if batches and len(batches[-1]) < batch_size:
                rows = len(batches[-1]) + 1
                if (
                    rows * (widest + options.max_new_tokens) <= cached_tokens
                    and rows * widest <= PREFILL_TOKENS
                ):
                    batches[-1].append(index)
                    continue
            batches.append([index])
            widest = lengths[index]
        return batches

    def _cache_bytes_per_token(self) -> int:
        config = self.model.config.get_text_config()
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        return 2 * config.num_hidden_layers * heads * size * self.model.dtype.itemsize

    def _decode(
        self, prompts: Sequence[list[int]], options: GenerationOptions
    ) -> Iterator[tuple[int, list[int], bool]]:
        """Yields (row, tokens of the answer, whether it ended by itself) as answers end."""
        import torch

        stops = self.stop_tokens()
        picker = _TokenPicker(options, len(prompts), self.model.device)
        rows = list(range(len(prompts)))
        answers: list[list[int]] = [[] for _ in prompts]
        logits, cache, mask = self._prefill(prompts, options.max_new_tokens)
        while rows:
            tokens = picker.pick(logits, rows)
            kept = []
            for position, (row, token) in enumerate(zip(rows, tokens, strict=True)):
                if token in stops:
                    yield row, answers[row], True
                    continue
                answers[row].append(token)
                if len(answers[row]) == options.max_new_tokens:
                    yield row, answers[row], False
                else:
                    kept.append(position)
            if len(kept) < len(rows):
                rows = [rows[position] for position in kept]
                if not rows:
                    return
                chosen = torch.tensor(kept, device=self.model.device)
                cache.batch_select_indices(chosen)
                mask = mask[chosen]
            mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
            logits = self.model(
                input_ids=torch.tensor([[answers[row][-1]] for row in rows]).to(self.model.device),
                attention_mask=mask,
                position_ids=mask.sum(dim=1, keepdim=True) - 1,
                past_key_values=cache,
                use_cache=True,
            ).logits[:, -1]

    def _prefill(
        self, prompts: Sequence[list[int]], room: int
    ) -> tuple[torch.Tensor, Any, torch.Tensor]:
        """Reads the prompts; returns the next token's logits, the cache and its mask."""
        import torch

        from doctune.roomy_cache import roomy_cache

        device = self.model.device
        cache = roomy_cache(self.model.config, room)
        shared = self._shared_prefix(prompts)
        if shared:
            self.model(
                input_ids=torch.tensor([prompts[0][:shared]], device=device),
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            cache.batch_repeat_interleave(len(prompts))
        width = max(len(prompt) for prompt in prompts) - shared
        # Padded on the left, between what is shared and the rest, so that all prompts end together.
        ids = torch.zeros((len(prompts), width), dtype=torch.long)
        mask = torch.ones((len(prompts), shared + width), dtype=torch.long)
        for prompt, line, present in zip(prompts, ids, mask, strict=True):
            rest = torch.tensor(prompt[shared:])
            line[width - len(rest) :] = rest
            present[shared : shared + width - len(rest)] = 0
        positions = (mask.cumsum(1) - 1).clamp(min=0)[:, shared:]
        logits = self.model(
            input_ids=ids.to(device),
            attention_mask=mask.to(device),
            position_ids=positions.to(device),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]
        return logits, cache, mask.to(device)

    def _shared_prefix(self, prompts: Sequence[list[int]]) -> int:
        """Returns how many first tokens all prompts share, at least one left over; or 0."""
        config = self.model.config.get_text_config()
        layers = set(getattr(config, "layer_types", None) or ["full_attention"])
        # Where a layer sees only the last tokens, padding within the prompt would count as seen.
        windowed = layers != {"full_attention"} or getattr(config, "sliding_window", None)
        if len(prompts) < 2 or windowed:
            return 0
        least = min(len(prompt) for prompt in prompts) - 1
        first, last = min(prompts), max(prompts)  # in order, so these two differ the earliest
        shared = next((i for i in range(least) if first[i] != last[i]), least)
        return shared if shared >= _LEAST_SHARED_PREFIX else 0

    def _completion(self, prompt: list[int], tokens: list[int], stopped: bool) -> Completion:
        return Completion(
            text=self.tokenizer.decode(tokens, skip_special_tokens=True).strip(),
            prompt_tokens=len(prompt),
            completion_tokens=len(tokens),
            finish_reason="stop" if stopped else "length",
        )


class _TokenPicker:
    """Chooses each row's next token: the likeliest, or by chance within top-p."""

    def __init__(self, options: GenerationOptions, rows: int, device: Any) -> None:
        import torch
        from transformers import TemperatureLogitsWarper, TopPLogitsWarper

        self._warpers: list[Any] = []
        self._generators: list[torch.Generator] | None = None
        if options.temperature > 0:
            self._warpers.append(TemperatureLogitsWarper(options.temperature))
            if options.top_p < 1:
                self._warpers.append(TopPLogitsWarper(options.top_p))
            if options.seed is not None:
                self._generators = [
                    torch.Generator(device=device).manual_seed(options.seed) for _ in range(rows)
                ]

    def pick(self, logits: torch.Tensor, rows: Sequence[int]) -> list[int]:
        """Returns a token for each of the rows that are still being answered."""
        import torch

        if not self._warpers:
            return logits.argmax(dim=-1).tolist()
        scores = logits.float()
        for warper in self._warpers:
            scores = warper(None, scores)
        chances = scores.softmax(dim=-1)
        if self._generators is None:
            return torch.multinomial(chances, 1)[:, 0].tolist()
        return [
            int(torch.multinomial(line, 1, generator=self._generators[row]))
            for row, line in zip(rows, chances, strict=True)
        ]
