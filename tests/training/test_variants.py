"""Other architectures, the raw passages before the chat, the token cache, and the events."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from doctune.errors import DatasetError
from doctune.training import TrainingOptions, tune_model
from doctune.training.examples import Example, read_conversations, tokenize_conversations
from doctune.training.machine import prepare_machine
from doctune.training.network import AnswerNetwork, load_network
from tests.training.conftest import make_tokenizer, tiny_configurations

SETTINGS: dict[str, Any] = {
    "learning_rate": 1e-2,
    "max_steps": 6,
    "lora_r": 4,
    "num_threads": 1,
    "dtype": "float32",
}


@pytest.mark.parametrize("name", ["qwen2", "qwen3", "gemma3", "mistral", "gpt2"])
def test_other_architectures_learn(name: str, facts: tuple[Path, Path], tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    model: Any = AutoModelForCausalLM.from_config(tiny_configurations()[name])
    model.save_pretrained(tmp_path / "base")
    template = None if name == "gpt2" else make_tokenizer().chat_template
    make_tokenizer(template).save_pretrained(tmp_path / "base")
    options = TrainingOptions(base_model=str(tmp_path / "base"), **SETTINGS)
    summary = tune_model(*facts, tmp_path / "m", options)
    assert summary.loss_after < summary.loss_before - 0.1
    merged: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "m/model")
    assert merged.config.model_type == model.config.model_type
    assert (tmp_path / "m/model/chat_template.jinja").is_file()


def test_frozen_weights_in_four_bits_learn_and_merge_into_the_whole_ones(
    tiny_model: Path, facts: tuple[Path, Path], tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM

    options = TrainingOptions(base_model=str(tiny_model), load_in_4bit=True, **SETTINGS)
    network = load_network(tiny_model, torch.float32, in_4bit=True)
    assert type(network.model.layers[0].mlp.up_proj).__name__ == "Linear4bit"
    summary = tune_model(*facts, tmp_path / "m", options)
    assert summary.loss_after < summary.loss_before - 0.1
    merged: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "m/model")
    assert merged.dtype == torch.float32
    assert getattr(merged.config, "quantization_config", None) is None


def test_compiled_layers_compute_the_same(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled, stock = [], torch.nn.Module.compile

    def compile_quickly(module: torch.nn.Module, **settings: Any) -> None:
        compiled.append(type(module).__name__)
        # Traces and differentiates as the default does, but writes no C++, which takes a minute.
        stock(module, backend="aot_eager", **settings)

    monkeypatch.setattr(torch.nn.Module, "compile", compile_quickly)
    losses, gradients = [], []
    for flag in (True, False):
        options = TrainingOptions(torch_compile=flag, dtype="float32", num_threads=1)
        machine = prepare_machine(options)
        network = AnswerNetwork(load_network(tiny_model, torch.float32), options, machine)
        for lengths in ((20, 30), (12, 40, 25)):
            examples = [Example(list(range(3, 3 + n)), [n > 8] * n) for n in lengths]
            losses.append(network.loss(network.pack(examples)))
            losses[-1].backward()
        gradients.append([weight.grad for weight in network.weights])
    assert compiled == ["LlamaDecoderLayer"] * 2
    assert torch.allclose(torch.stack(losses[:2]), torch.stack(losses[2:]), atol=1e-4)
    for found, expected in zip(*gradients, strict=True):
        assert torch.allclose(found, expected, atol=1e-4)


def test_sharded_weights_in_four_bits_are_refused() -> None:
    with pytest.raises(ValidationError, match="choose one of the two"):
        TrainingOptions(fsdp=True, load_in_4bit=True)


def test_raw_passages_come_before_the_chat(
    tiny_model: Path, facts: tuple[Path, Path], tmp_path: Path
) -> None:
    rows = [json.loads(line) for line in facts[0].read_text().splitlines()]
    train = tmp_path / "train.jsonl"
    passages = [f"the pump {index % 10} weighs two" for index in range(len(rows))]
    train.write_text(
        "".join(
            json.dumps({**row, "passage": text}) + "\n"
            for row, text in zip(rows, passages, strict=True)
        )
    )
    settings = {**SETTINGS, "max_steps": -1, "num_train_epochs": 1, "pretraining_epochs": 2}
    options = TrainingOptions(base_model=str(tiny_model), **settings)
    summary = tune_model(train, facts[1], tmp_path / "m", options)
    record = json.loads((tmp_path / "m/training.json").read_text())
    assert record["examples"]["passages"]["used"] == 10  # each once, however many examples
    assert summary.steps == 2 * 2 + 5  # two epochs of 10 passages in eights, one of 40 examples

    with pytest.raises(DatasetError, match=r"training\.pretraining_epochs"):
        tune_model(*facts, tmp_path / "n", options)


def test_tokens_are_kept_and_a_broken_cache_is_made_again(
    tiny_model: Path,
    facts: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from doctune.training import token_cache
    from doctune.training.network import load_tokenizer

    monkeypatch.setenv("DOCTUNE_CACHE", str(tmp_path / "cache"))
    tokenizer = load_tokenizer(tiny_model)

    def tokens() -> list[Example]:
        return list(token_cache.tokenized_file(facts[0], tokenizer, 128).examples)

    first = tokens()
    (kept,) = (tmp_path / "cache/tokens").iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(token_cache, "tokenize_conversations", None)  # would fail if it were called
        assert tokens() == first
    token_cache.tokenized_file(facts[0], tokenizer, 64)
    assert len(list((tmp_path / "cache/tokens").iterdir())) == 2

    (kept / "input_ids").write_bytes((kept / "input_ids").read_bytes()[:100])
    logger = logging.getLogger("doctune.training")
    logger.addHandler(caplog.handler)
    assert tokens() == first
    logger.removeHandler(caplog.handler)
    assert "is broken" in caplog.text


def test_events_hold_the_losses(tiny_model: Path, facts: tuple[Path, Path], tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    options = TrainingOptions(
        base_model=str(tiny_model), tensorboard_dir=str(tmp_path / "logs"), **SETTINGS
    )
    summary = tune_model(*facts, tmp_path / "m", options)
    events = accumulator.EventAccumulator(str(tmp_path / "logs"))
    events.Reload()
    assert len(events.Scalars("train/loss")) == summary.steps
    assert events.Scalars("validation/loss")[0].value == pytest.approx(summary.loss_before)


def test_loss_counts_each_answer_up_to_its_end_and_nothing_else(
    tiny_model: Path, tmp_path: Path
) -> None:
    from doctune.training.network import load_tokenizer

    turns = [("user", "a?"), ("assistant", "bc"), ("user", "d?"), ("assistant", "e")]
    messages = [{"role": role, "content": content} for role, content in turns]
    (tmp_path / "rows.jsonl").write_text(json.dumps({"messages": messages}))
    tokenizer = load_tokenizer(tiny_model)
    rows = list(read_conversations(tmp_path / "rows.jsonl"))
    (example,) = tokenize_conversations(rows, tokenizer, 512).examples
    taught = [token for token, flag in zip(example.input_ids, example.taught, strict=True) if flag]
    assert tokenizer.convert_ids_to_tokens(taught) == ["b", "c", "<|im_end|>", "e", "<|im_end|>"]
