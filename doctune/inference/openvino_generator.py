"""Answers by OpenVINO GenAI, the fast road on a CPU: 8-bit weights and its own continuous batching.

The model is read from GGUF in Q8_0: the artifact's `model.gguf`, or one that is made of its
safetensors once and kept in the cache. Llama models only, as `write_gguf`.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from doctune import limits
from doctune.artifacts import cache_folder
from doctune.digests import digest_folder
from doctune.errors import ModelError
from doctune.files import atomic_path, exclusively
from doctune.inference.chat_template import ChatTokenizer, Message
from doctune.inference.completion import Completion
from doctune.inference.flight import Counts, Request, Ticket
from doctune.inference.gguf_file import GGUF_FILE, can_be_gguf
from doctune.inference.memory import free_memory, give_back_freed
from doctune.inference.openvino_flight import BLOCK_TOKENS, Loaded, OpenVinoFlight
from doctune.inference.options import GenerationOptions

# Most tokens that a step computes: prompts are read in such pieces between the tokens of others.
CHUNK_TOKENS = 128
# Tokens of the cache for each answer at once, where memory has room; at least one whole context.
_TOKENS_A_ROW = 512
_SHARE_OF_MEMORY = 0.5
_CONVERSION = 1  # part of the cache's key: raise it when what `write_gguf` writes changes


class OpenVinoGenerator(ChatTokenizer):
    """A model that OpenVINO has loaded, and its tokenizer."""

    def __init__(self, folder: Path, gguf: Path, *, batch_size: int) -> None:
        """
        Args:
            folder: The model's configuration and tokenizer.
            gguf: Its weights.
            batch_size: Most answers at once.
        """
        import openvino_genai
        from transformers import AutoTokenizer

        tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        super().__init__(tokenizer)
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self.context: int | None = config.get("max_position_embeddings")
        self._threads = int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0)))
        self._blocks = _cache_blocks(config, batch_size)
        scheduler = openvino_genai.SchedulerConfig()
        scheduler.num_kv_blocks = self._blocks
        scheduler.max_num_seqs = batch_size
        scheduler.max_num_batched_tokens = CHUNK_TOKENS
        scheduler.dynamic_split_fuse = True
        scheduler.enable_prefix_caching = True
        properties = {"INFERENCE_NUM_THREADS": self._threads, "ENABLE_CPU_PINNING": False}
        pipeline: Any = openvino_genai.ContinuousBatchingPipeline(
            str(gguf), scheduler, "CPU", properties
        )
        self.cache_bytes = int(pipeline.get_metrics().kv_cache_size_in_bytes)
        self._model = Loaded(
            pipeline=pipeline,
            decode=self.decode,
            stops=self.end_tokens(_generation_settings(folder, config).get("eos_token_id")),
            cache_blocks=self._blocks,
            numbers=itertools.count(),
        )

    @classmethod
    def load(cls, folder: Path, *, batch_size: int = 16) -> OpenVinoGenerator:
        """Loads a folder of safetensors, or one that `doctune export --format gguf` wrote.

        Raises:
            ModelError: OpenVINO is not installed, or does not know the model.
        """
        if missing := _missing():
            raise ModelError(
                f"The engine openvino needs {' and '.join(missing)}, not installed here: "
                "pip install 'doctune[openvino]', or take the engine native."
            )
        gguf = folder / GGUF_FILE
        if not gguf.is_file():
            gguf = _converted(folder)
        try:
            loaded = cls(folder, gguf, batch_size=batch_size)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ModelError(
                f"{folder} holds no model that OpenVINO can load: {reason}."
            ) from error
        give_back_freed()
        return loaded

    def generate(
        self,
        conversations: Sequence[Sequence[Message]],
        options: GenerationOptions | None = None,
        *,
        batch_size: int = 16,
        on_answer: Callable[[int, Completion], None] | None = None,
    ) -> list[Completion]:
        """Answers each conversation, in the order given; see `TextGenerator.generate`."""
        chosen = options or GenerationOptions()
        prompts = [self.encode(messages) for messages in conversations]
        tickets = [Ticket(Request(prompt=prompt, options=chosen)) for prompt in prompts]
        flight = self.flight(Counts())
        queue = deque(enumerate(tickets))
        asked: list[tuple[int, Ticket]] = []
        while queue or len(flight):
            while queue and len(flight) < batch_size and flight.has_room_for(queue[0][1].request):
                asked.append(queue.popleft())
                flight.enlist(asked[-1][1])
            flight.step()
            for position, ticket in asked:
                if on_answer and ticket.answer.done():
                    on_answer(position, ticket.answer.result())
            asked = [one for one in asked if not one[1].answer.done()]
        return [ticket.answer.result() for ticket in tickets]

    def flight(self, counts: Counts) -> OpenVinoFlight:
        """Returns requests in flight, none yet."""
        return OpenVinoFlight(self._model, counts)

    def working(self) -> AbstractContextManager[Any]:
        """Returns nothing to hold."""
        return nullcontext()

    def cache_bytes_per_token(self) -> int:
        """Returns what a token's keys and values take."""
        return self.cache_bytes // (self._blocks * BLOCK_TOKENS)

    def chosen_for_machine(self) -> dict[str, object]:
        """Returns what was chosen for this machine, by name, for the log."""
        return {
            "device": "cpu",
            "threads": self._threads,
            "precision": "int8",
            "cache_mb": self.cache_bytes >> 20,
            "chunk_tokens": CHUNK_TOKENS,
        }


def can_load(folder: Path) -> bool:
    """Returns whether OpenVINO is installed here and reads the model of a folder."""
    return not _missing() and ((folder / GGUF_FILE).is_file() or can_be_gguf(folder))


def run_without_torch() -> None:
    """Keeps torch out of this process, which takes 140 MiB and which OpenVINO does not need.

    Transformers would import it with the tokenizer. Does nothing where torch is loaded already.
    """
    if "torch" not in sys.modules:
        # Python's own way to say that a module cannot be imported.
        sys.modules["torch"] = None  # type: ignore[assignment]


def _missing() -> list[str]:
    return [n for n in ("openvino_genai", "gguf") if importlib.util.find_spec(n) is None]


def _generation_settings(folder: Path, config: dict[str, Any]) -> dict[str, Any]:
    """Returns the model's generation settings, which older models keep in their configuration."""
    path = folder / "generation_config.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else config


def _cache_blocks(config: dict[str, Any], batch_size: int) -> int:
    """Returns how many blocks the key-value cache has: OpenVINO takes them as they are needed."""
    heads = config["num_attention_heads"]
    size = config.get("head_dim") or config["hidden_size"] // heads
    pairs = 2 * config["num_hidden_layers"] * config.get("num_key_value_heads", heads)
    block_bytes = pairs * (size + 8) * BLOCK_TOKENS  # 8 bits a value, a scale and a zero point
    context = config["max_position_embeddings"]
    wanted = max(context, batch_size * min(context, _TOKENS_A_ROW)) // BLOCK_TOKENS + batch_size
    return max(2, min(wanted, int(_SHARE_OF_MEMORY * free_memory()) // block_bytes))


def _converted(folder: Path) -> Path:
    """Returns the weights of a folder as GGUF, made once for all processes.

    Raises:
        ModelError: They cannot be.
    """
    digest = digest_folder(folder, "*.safetensors")
    described = digest_folder(folder, "*.json")
    target = cache_folder() / "openvino" / f"{digest[:32]}-{described[:16]}-{_CONVERSION}.gguf"
    with exclusively(target, f"converting {folder}"):
        if not target.is_file():
            with atomic_path(target) as path:
                _convert(folder, path)
    return target


def _convert(folder: Path, path: Path) -> None:
    # In a process of its own: what torch takes for it does not stay with the server.
    command = [sys.executable, "-m", "doctune.inference.gguf_file", str(folder), str(path)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=limits.LOCK.seconds
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        reason = lines[-1] if lines else f"exit code {done.returncode}"
        raise ModelError(f"{folder} cannot be converted for the engine openvino: {reason}")
