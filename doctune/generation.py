"""Answers from a causal language model: batched, with the tokenizer's own chat template.

One implementation serves the model server, the evaluation and the command line, so that what is
scored is what is deployed. Prompts are batched by length, left-padded and decoded with the
key-value cache; a batch ends as soon as each of its rows has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doctune.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Message = dict[str, str]


@dataclass(frozen=True, kw_only=True)
class GenerationOptions:
    """How to decode. `temperature` 0 is greedy."""

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


class TextGenerator:
    """A loaded model and tokenizer that answer conversations."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        # The stubs of transformers describe unions that no caller of one conversation meets.
        self.model: Any = model
        self.tokenizer: Any = tokenizer

    @classmethod
    def load(cls, folder: Path) -> TextGenerator:
        """Loads safetensors weights and the tokenizer from a folder.

        Raises:
            ModelError: The folder does not hold a model that transformers can load.
        """
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        device = "cuda" if torch.cuda.is_available() else "cpu"
        # CPUs without bf16 matrix units are slower in bf16 than in float32.
        dtype = torch.bfloat16 if device == "cuda" else torch.float32
        try:
            tokenizer: Any = AutoTokenizer.from_pretrained(folder)
            model: Any = AutoModelForCausalLM.from_pretrained(
                folder, dtype=dtype, use_safetensors=True
            )
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(f"{folder} holds no model that can be loaded: {error}.") from error
        return cls(model.to(device).eval(), tokenizer)

    def generate(
        self,
        conversations: Sequence[Sequence[Message]],
        options: GenerationOptions | None = None,
        *,
        batch_size: int = 16,
        on_batch: Callable[[int], None] | None = None,
    ) -> list[Completion]:
        """Answers each conversation, in the order given.

        Args:
            conversations: Chat messages (`role`, `content`) that end with the user's turn.
            batch_size: Most conversations decoded together.
            on_batch: Called after each batch with the number of conversations it answered.
        """
        chosen = options or GenerationOptions()
        prompts = [self.encode(messages) for messages in conversations]
        order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
        answers: dict[int, Completion] = {}
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            for index, answer in zip(
                batch, self._generate_batch([prompts[i] for i in batch], chosen), strict=True
            ):
                answers[index] = answer
            if on_batch:
                on_batch(len(batch))
        return [answers[index] for index in range(len(prompts))]

    def encode(self, messages: Sequence[Message]) -> list[int]:
        """Returns the prompt's token ids, by the chat template, ready for the answer to follow."""
        encoded = self.tokenizer.apply_chat_template(
            list(messages), add_generation_prompt=True, tokenize=True, return_dict=True
        )
        return list(encoded["input_ids"])

    def _generate_batch(
        self, prompts: list[list[int]], options: GenerationOptions
    ) -> list[Completion]:
        import torch

        if options.seed is not None:
            torch.manual_seed(options.seed)
        width = max(len(prompt) for prompt in prompts)
        pad = self.tokenizer.pad_token_id
        if pad is None:
            pad = self.tokenizer.eos_token_id
        rows = [[pad] * (width - len(prompt)) + prompt for prompt in prompts]
        mask = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]
        sampling: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None}
        if options.temperature > 0:
            sampling = {
                "do_sample": True,
                "temperature": options.temperature,
                "top_p": options.top_p,
            }
        stops = self.stop_tokens()
        with torch.inference_mode():
            output = self.model.generate(
                input_ids=torch.tensor(rows, device=self.model.device),
                attention_mask=torch.tensor(mask, device=self.model.device),
                max_new_tokens=options.max_new_tokens,
                pad_token_id=pad,
                eos_token_id=sorted(stops),
                top_k=None,
                **sampling,
            )
        return [
            self._completion(prompt, row[width:].tolist(), stops)
            for prompt, row in zip(prompts, output, strict=True)
        ]

    def stop_tokens(self) -> set[int]:
        """Returns the ids of the tokens that end a turn."""
        configured = self.model.generation_config.eos_token_id
        ids = configured if isinstance(configured, list) else [configured]
        return {token for token in [*ids, self.tokenizer.eos_token_id] if token is not None}

    def _completion(self, prompt: list[int], tokens: list[int], stops: set[int]) -> Completion:
        end = next((i for i, token in enumerate(tokens) if token in stops), None)
        answer = tokens if end is None else tokens[:end]
        text = self.tokenizer.decode(answer, skip_special_tokens=True).strip()
        return Completion(
            text=text,
            prompt_tokens=len(prompt),
            completion_tokens=len(answer),
            finish_reason="length" if end is None else "stop",
        )
