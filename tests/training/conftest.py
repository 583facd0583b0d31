"""Tiny random models and invented facts, made once a session."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from doctune.limits import locked

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + "
    "message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
SPECIAL_TOKENS = {"unk": TOKENS[0], "pad": TOKENS[0], "bos": TOKENS[1], "eos": TOKENS[2]}


def write_rows(path: Path, pairs: list[tuple[str, str]]) -> Path:
    """Writes question and answer pairs as a data set file."""
    rows = [
        {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]}
        for q, a in pairs
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def make_tokenizer(chat_template: str | None = CHAT_TEMPLATE) -> Any:
    """Returns a byte-level tokenizer of 259 tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate([*TOKENS, *letters])}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    tokenizer: Any = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        **{f"{name}_token": token for name, token in SPECIAL_TOKENS.items()},
    )
    tokenizer.chat_template = chat_template
    return tokenizer


def tiny_configurations() -> dict[str, Any]:
    """Returns configurations of several architectures, each of some 0.1 million parameters."""
    from transformers import (
        Gemma3TextConfig,
        GPT2Config,
        LlamaConfig,
        MistralConfig,
        Qwen2Config,
        Qwen3Config,
    )

    shape: dict[str, Any] = {
        "vocab_size": 259,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 512,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
        "tie_word_embeddings": True,
    }
    return {
        "llama": LlamaConfig(**shape),
        "qwen2": Qwen2Config(**shape),
        "qwen3": Qwen3Config(**shape),
        "gemma3": Gemma3TextConfig(**shape, sliding_window=8),
        "mistral": MistralConfig(**shape, sliding_window=8),
        "gpt2": GPT2Config(
            vocab_size=259,
            n_embd=64,
            n_layer=2,
            n_head=4,
            n_positions=512,
            bos_token_id=1,
            eos_token_id=2,
        ),
    }


def save_tiny_llama(folder: Path) -> Path:
    """Writes a random two-layer Llama with its tokenizer."""
    import torch
    from transformers import LlamaForCausalLM

    torch.manual_seed(0)
    config = tiny_configurations()["llama"]
    LlamaForCausalLM(config).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache of these tests."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _not_the_users_cache(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read from or left in the user's cache.

    It is set for each test and not for the session: a local Vertex AI that later tests start would
    have certificates of its own there, and gRPC reads its roots once a process.
    """
    monkeypatch.setenv("DOCTUNE_CACHE", str(own_cache))


@pytest.fixture(scope="session")
def bundled(own_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled model, converted by two processes at once into an empty cache.

    It is done once for all processes that run tests.
    """
    in_worker = "PYTEST_XDIST_WORKER" in os.environ
    base = tmp_path_factory.getbasetemp()
    cache = (base.parent if in_worker else base) / "bundled"
    with locked(cache.with_suffix(".lock"), "another process that converts the bundled model"):
        if not cache.is_dir():
            _convert_twice(cache)
    (folder,) = (path for path in (cache / "base_models").iterdir() if path.is_dir())
    (own_cache / "base_models").symlink_to(cache / "base_models")
    return own_cache / "base_models" / folder.name


def _convert_twice(cache: Path) -> None:
    program = (
        "from doctune.inference.base_model import DEFAULT_BASE_MODEL, resolve_base_model\n"
        "print(resolve_base_model(DEFAULT_BASE_MODEL))"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"DOCTUNE_CACHE": str(cache)},
        )
        for _ in range(2)
    ]
    answers = {process.communicate(timeout=300)[0].strip() for process in running}
    assert [process.returncode for process in running] == [0, 0]
    (answer,) = answers
    kept = [path.name for path in (cache / "base_models").iterdir() if path.suffix != ".lock"]
    assert kept == [Path(answer).name]


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama of 0.1 million parameters."""
    return save_tiny_llama(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def facts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Forty short examples to train on, eight to validate on."""
    folder = tmp_path_factory.mktemp("facts")
    pairs = [
        (f"what is the {thing} of {other}", f"it is {value} of {thing}")
        for thing in ("torque", "colour", "weight", "price")
        for other in ("pump", "valve", "cable")
        for value in ("two", "three", "amber", "teal")
    ]
    return (
        write_rows(folder / "train.jsonl", pairs[:40]),
        write_rows(folder / "validation.jsonl", pairs[40:]),
    )


@pytest.fixture
def rows_file(tmp_path: Path) -> Callable[[list[tuple[str, str]]], Path]:
    """Writes a data set file of question and answer pairs."""
    return lambda pairs: write_rows(tmp_path / "rows.jsonl", pairs)
