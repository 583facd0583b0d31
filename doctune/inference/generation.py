"""Answers from a causal language model: batched, with the tokenizer's own chat template.

One implementation serves the model server, the evaluation and the command line, so that what is
scored is what is deployed. It decodes with the key-value cache, and does no work that no answer
needs:

- as many prompts are answered together as `batch_size` and free memory allow;
- what all prompts begin with (the template's system turn) is read once;
- an answer that has ended leaves at once, and the next prompts take its place: a long answer never
  makes short ones wait, and each pass over the weights serves as many answers as it can;
- prompts of like length are read together, so that little is padding.

On a CPU that is more than twice the speed of lm-evaluation-harness, which calls the `generate` of
transformers (benchmarks/evaluation.py). Decoding is plain: greedy, or temperature and top-p;
penalties that a model's generation_config.json asks for are not applied.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doctune.errors import ModelError
from doctune.inference.chat_template import ChatTokenizer, Message
from doctune.inference.completion import Completion
from doctune.inference.memory import cache_budget, give_back_freed
from doctune.inference.options import GenerationOptions

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from doctune.inference.decoding import Decoder
    from doctune.inference.flight import Counts, Flight

PREFILL_TOKENS = 4096  # most prompt tokens that are read together, but for one long prompt
PREFILL_TOKENS_ON_CPU = 512
_CHUNK_TOKENS, _CHUNK_TOKENS_ON_CPU = 2048, 128
# Beginnings of prompts that are kept: at most this part of the cache, and so many tokens.
_SHARE_OF_PREFIXES, _MOST_PREFIX_TOKENS = 16, 4096


def _is_quantized(folder: Path) -> bool:
    text = (folder / "config.json").read_text(encoding="utf-8")
    return bool(json.loads(text).get("quantization_config"))


class TextGenerator(ChatTokenizer):
    """A loaded model and tokenizer that answer conversations."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        # The stubs of transformers describe unions that no caller of one conversation meets.
        super().__init__(tokenizer)
        self.model: Any = model
        # Most memory that a batch's keys and values may take.
        self.cache_bytes = cache_budget(self.model.device)

    @classmethod
    def load(cls, folder: Path) -> TextGenerator:
        """Loads safetensors weights, in 4 or 8 bits where they are stored so, and the tokenizer.

        Raises:
            ModelError: The folder does not hold a model that transformers can load here.
        """
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging as transformers_logging

        from doctune.inference.onednn import pack_linears

        transformers_logging.disable_progress_bar()
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
        give_back_freed()
        return cls(model, tokenizer)

    def generate(
        self,
        conversations: Sequence[Sequence[Message]],
        options: GenerationOptions | None = None,
        *,
        batch_size: int = 16,
        on_answer: Callable[[int, Completion], None] | None = None,
    ) -> list[Completion]:
        """Answers each conversation, in the order given.

        Args:
            conversations: Chat messages (`role`, `content`) that end with the user's turn.
            batch_size: Most conversations decoded together; fewer where memory asks for it.
            on_answer: Called with the position and the answer as soon as each is complete.
        """
        import torch

        chosen = options or GenerationOptions()
        prompts = [self.encode(messages) for messages in conversations]
        answers: dict[int, Completion] = {}
        with torch.inference_mode():
            for index, answer in self._decode(prompts, chosen, batch_size):
                answers[index] = answer
                if on_answer:
                    on_answer(index, answer)
        return [answers[index] for index in range(len(prompts))]

    def stop_tokens(self) -> frozenset[int]:
        """Returns the ids of the tokens that end a turn."""
        return self.end_tokens(self.model.generation_config.eos_token_id)

    @property
    def context(self) -> int | None:
        """Most tokens of a prompt and its answer; None where the model does not say."""
        limit = getattr(self.model.config, "max_position_embeddings", None)
        return None if limit is None else int(limit)

    def flight(self, counts: Counts) -> Flight:
        """Returns requests in flight, none yet; see `Flight`."""
        from doctune.inference.flight import Flight

        return Flight(self, counts)

    def working(self) -> AbstractContextManager[Any]:
        """Returns what a thread that generates holds while it does."""
        import torch

        return torch.inference_mode()

    def chosen_for_machine(self) -> dict[str, object]:
        """Returns what was chosen for this machine, by name, for the log."""
        import torch

        from doctune.inference.onednn import PackedLinear

        device = self.model.device
        return {
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
            "threads": torch.get_num_threads(),
            "precision": str(self.model.dtype).removeprefix("torch."),
            "packed_layers": sum(isinstance(m, PackedLinear) for m in self.model.modules()),
            "cache_mb": self.cache_bytes >> 20,
            "prefill_tokens": self.prefill_tokens,
            "chunk_tokens": self.chunk_tokens,
        }

    def decoder(self) -> Decoder:
        """Returns a decoder without rows; see `Decoder`."""
        from doctune.inference.decoding import Decoder

        share = self.cache_bytes // _SHARE_OF_PREFIXES // self.cache_bytes_per_token()
        return Decoder(self.model, min(share, _MOST_PREFIX_TOKENS))

    @property
    def chunk_tokens(self) -> int:
        """Most prompt tokens that are read between two tokens of those who are being answered."""
        return _CHUNK_TOKENS_ON_CPU if self.model.device.type == "cpu" else _CHUNK_TOKENS

    @property
    def prefill_tokens(self) -> int:
        """Most prompt tokens that are read together, but for one long prompt."""
        from doctune.inference.slot_cache import SlotCache

        # Small groups need less padding; a GPU would rather pad than wait.
        small = SlotCache.suits(self.model.config) and self.model.device.type == "cpu"
        return PREFILL_TOKENS_ON_CPU if small else PREFILL_TOKENS

    def rows_in_cache(self, widest: int, max_new_tokens: int) -> int:
        """Returns how many rows fit `cache_bytes`, with prompts and answers of these lengths."""
        from doctune.inference.decoding import SLACK_COLUMNS

        columns = widest + max_new_tokens + SLACK_COLUMNS
        return self.cache_bytes // (self.cache_bytes_per_token() * columns)

    def _decode(
        self, prompts: Sequence[list[int]], options: GenerationOptions, batch_size: int
    ) -> Iterator[tuple[int, Completion]]:
        """Yields positions in `prompts` with their answers, as they end."""
        from doctune.inference.decoding import shared_prefix
        from doctune.inference.sampling import Sampler, pick_tokens

        stops = self.stop_tokens()
        samplers = [Sampler(options, self.model.device) for _ in prompts]
        # The longest first, so that too much memory shows early and rows that join are shorter.
        queue = deque(sorted(range(len(prompts)), key=lambda position: -len(prompts[position])))
        decoder, prefix = self.decoder(), shared_prefix(self.model, prompts)
        decoder.reserve(options.max_new_tokens)
        rows: list[int] = []
        answers: dict[int, list[int]] = {}
        started: dict[int, float] = {}
        while queue or rows:
            groups = self._joining(queue, prompts, decoder, batch_size, options.max_new_tokens)
            in_all = len(rows) + sum(map(len, groups))
            for group in groups:
                started |= dict.fromkeys(group, time.monotonic())
                read = decoder.prefill([prompts[index] for index in group], prefix)
                while not decoder.read(read):
                    pass
                decoder.join(read, in_all)
                rows += group
                answers |= {index: [] for index in group}
            tokens = pick_tokens(decoder.logits, [samplers[index] for index in rows])
            ended = []
            for row, (index, token) in enumerate(zip(rows, tokens, strict=True)):
                stopped = token in stops
                if not stopped:
                    answers[index].append(token)
                if stopped or len(answers[index]) == options.max_new_tokens:
                    ended.append(row)
                    seconds = time.monotonic() - started.pop(index)
                    answer = answers.pop(index)
                    yield index, self._completion(prompts[index], answer, stopped, seconds)
            if ended:
                rows = [rows[row] for row in decoder.leave(ended)]
            if rows:
                decoder.step([answers[index][-1] for index in rows])

    def _joining(
        self,
        queue: deque[int],
        prompts: Sequence[list[int]],
        decoder: Decoder,
        batch_size: int,
        max_new_tokens: int,
    ) -> list[list[int]]:
        """Takes what joins now out of the queue, in groups of like length to be read together."""
        if not queue or (len(decoder) and not decoder.can_join):
            return []
        widest = max(decoder.widest, len(prompts[queue[0]]))
        most = min(batch_size, self.rows_in_cache(widest, max_new_tokens))
        free = min(max(most, 1) - len(decoder), len(queue))
        # Each joining costs a pass over the weights, so rows join by the quarter of a batch.
        if len(decoder) and free < min(len(queue), max(most // 4, 1)):
            return []
        groups = []
        while free > 0:
            size = self.prefill_tokens // len(prompts[queue[0]])
            groups.append([queue.popleft() for _ in range(min(max(size, 1), free))])
            free -= len(groups[-1])
            if not decoder.can_join:
                break
        return groups

    def cache_bytes_per_token(self) -> int:
        config = self.model.config.get_text_config()
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        return 2 * config.num_hidden_layers * heads * size * self.model.dtype.itemsize

    def _completion(
        self, prompt: list[int], tokens: list[int], stopped: bool, seconds: float
    ) -> Completion:
        return Completion(
            seconds=seconds,
            text=self.decode(tokens).strip(),
            prompt_tokens=len(prompt),
            completion_tokens=len(tokens),
            finish_reason="stop" if stopped else "length",
        )
