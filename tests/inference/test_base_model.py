"""Base models: the bundled one, folders, and names that lead nowhere."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from doctune.errors import ModelError
from doctune.inference.base_model import resolve_base_model, resolve_tokenizer
from tests.training.conftest import _not_the_users_cache, bundled, own_cache, tiny_model

__all__ = ["_not_the_users_cache", "bundled", "own_cache", "tiny_model"]


def test_bundled_tokenizer_has_the_ids_and_template_of_its_makers(bundled: Path) -> None:
    from transformers import AutoTokenizer, GenerationConfig

    tokenizer: Any = AutoTokenizer.from_pretrained(bundled)
    assert tokenizer.convert_tokens_to_ids(["<|endoftext|>", "<|im_start|>", "<|im_end|>"]) == [
        0,
        1,
        2,
    ]
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (1, 2, 2)
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hi"}], tokenize=False, add_generation_prompt=True
    )
    assert prompt == (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
        "<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )
    assert tokenizer.convert_ids_to_tokens(tokenizer("a  12")["input_ids"]) == ["a", "ĠĠ", "1", "2"]
    text = "Größe:\t12.5 kg\n  naïve — “ok” 漢字"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert GenerationConfig.from_pretrained(bundled).eos_token_id == 2


def test_bundled_model_knows_the_capital_of_france(bundled: Path) -> None:
    from doctune.inference.generation import TextGenerator
    from doctune.inference.options import GenerationOptions

    generator = TextGenerator.load(bundled)
    question = [{"role": "user", "content": "What is the capital of France?"}]
    (answer,) = generator.generate([question], GenerationOptions(max_new_tokens=24))
    assert "Paris" in answer.text
    assert answer.finish_reason == "stop"


def test_a_folder_is_taken_as_it_is(tiny_model: Path) -> None:
    assert resolve_base_model(str(tiny_model)) == tiny_model


def test_names_that_lead_nowhere_are_one_clear_line(tiny_model: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_model, tmp_path / "broken")
    (tmp_path / "broken/model.safetensors").unlink()
    for name, message in (
        ("/nowhere/at/all", "is not a folder, a hub id or a gs:// folder"),
        ("what is this", "is not a folder, a hub id or a gs:// folder"),
        ("nobody/no-such-model", "nor to be had from the hub"),
        (str(tmp_path), "has no config.json"),
        (str(tmp_path / "broken"), r"no \*.safetensors weights"),
    ):
        with pytest.raises(ModelError, match=message) as caught:
            resolve_base_model(name)
        assert "\n" not in str(caught.value)


def test_a_tokenizer_is_had_without_the_weights(tiny_model: Path, tmp_path: Path) -> None:
    assert resolve_tokenizer(str(tiny_model)) == tiny_model / "tokenizer.json"

    # An object store, where only this one file may be fetched: there are no weights.
    import fsspec

    store = fsspec.filesystem("memory")
    store.pipe("/models/big/tokenizer.json", (tiny_model / "tokenizer.json").read_bytes())
    fetched = resolve_tokenizer("memory://models/big")

    assert fetched.read_bytes() == (tiny_model / "tokenizer.json").read_bytes()


def test_the_bundled_model_has_a_tokenizer(bundled: Path) -> None:
    assert resolve_tokenizer("smollm2-135m-instruct") == bundled / "tokenizer.json"


def test_a_model_without_a_tokenizer_is_one_clear_line(tiny_model: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    (folder / "tokenizer.json").unlink()

    with pytest.raises(ModelError, match=r"has no tokenizer\.json") as caught:
        resolve_tokenizer(str(folder))
    assert "\n" not in str(caught.value)
    with pytest.raises(ModelError, match="not a folder, a hub id"):
        resolve_tokenizer("/nowhere/at/all")
