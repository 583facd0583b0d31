"""Every export reloads, generates, and says what it cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
import torch

from doctune.errors import ModelError, TrainingError
from doctune.publishing import write_manifest
from doctune.training import TrainingOptions, tune_model
from doctune.training.compressed import compressed_formats
from doctune.training.export import ExportFormat, export_model, load_export
from tests.serving.conftest import ROOT, start_server

WRITTEN_HERE = [name for name in get_args(ExportFormat) if name not in compressed_formats()]


@pytest.fixture(scope="module")
def tuned(
    tiny_model: Path, facts: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A tuned tiny model."""
    folder = tmp_path_factory.mktemp("tuned") / "model"
    options = TrainingOptions(
        base_model=str(tiny_model), learning_rate=1e-2, lora_r=4, num_threads=1, dtype="float32"
    )
    tune_model(*facts, folder, options)
    return folder


@pytest.mark.parametrize("export_format", WRITTEN_HERE)
def test_an_export_reloads_and_answers_nearly_as_the_model(
    export_format: ExportFormat, tuned: Path, facts: tuple[Path, Path], tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    summary = export_model(
        tuned, tmp_path / "out", export_format, facts[1], max_perplexity_increase=0.2
    )
    record = json.loads((tmp_path / "out/export.json").read_text())
    assert record["after"]["perplexity"] == summary.after.perplexity
    assert record["before"]["tokens_per_second"] > 0
    if export_format != "safetensors":
        assert summary.after.bytes < 0.6 * summary.before.bytes

    tokenizer: Any = AutoTokenizer.from_pretrained(tmp_path / "out")
    ids = tokenizer("what is the colour of", return_tensors="pt")["input_ids"]
    exported = load_export(tmp_path / "out")
    answer = exported.generate(ids, max_new_tokens=8, min_new_tokens=8, do_sample=False)
    assert answer.shape[1] == ids.shape[1] + 8
    original: Any = AutoModelForCausalLM.from_pretrained(tuned / "model")
    with torch.no_grad():
        difference = (exported(ids).logits.float() - original(ids).logits).abs().mean()
    assert difference < {"safetensors": 1e-6, "gguf": 0.05, "int8": 0.05, "nf4": 0.3}[export_format]


@pytest.mark.parametrize("export_format", ["int8", "nf4"])
def test_the_server_program_answers_with_a_quantized_export(
    export_format: ExportFormat, tuned: Path, facts: tuple[Path, Path], tmp_path: Path
) -> None:
    from doctune.inference.generation import TextGenerator

    export_model(tuned, tmp_path / "out", export_format, facts[1], max_perplexity_increase=0.2)
    layers = {
        type(module).__name__ for module in TextGenerator.load(tmp_path / "out").model.modules()
    }
    assert {"int8": "Linear8bitLt", "nf4": "Linear4bit"}[export_format] in layers
    server = start_server(str(tmp_path / "out"))
    try:
        server.wait_until_ready(120)
        body = {
            "instances": [{"prompt": "what is the colour"}],
            "parameters": {"max_new_tokens": 4},
        }
        answer = server.predict(body)
        assert answer.status_code == 200
        assert 0 < answer.json()["predictions"][0]["completion_tokens"] <= 4
    finally:
        server.log()


def test_an_export_that_loses_too_much_is_refused_and_leaves_nothing(
    tuned: Path, facts: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="nf4 export is refused: its perplexity"):
        export_model(tuned, tmp_path / "out", "nf4", facts[1], max_perplexity_increase=-0.5)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_model_is_one_clear_line(
    facts: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="holds no tuned model"):
        export_model(tmp_path, tmp_path / "out", "int8", facts[1])


@pytest.mark.parametrize("export_format", compressed_formats())
def test_an_export_for_vllm_is_written_in_an_environment_of_its_own(
    export_format: str, tuned: Path, facts: tuple[Path, Path], tmp_path: Path
) -> None:
    command = ["-m", "doctune", "export", "--format", export_format, "--model", str(tuned)]
    command += ["--out", str(tmp_path / "out"), "--examples", str(facts[1])]
    command += ["--max-perplexity-increase", "0.2"]
    # Opt-in: DOCTUNE_LLM_COMPRESSOR is the Python of an environment with llm-compressor.
    python = os.environ.get("DOCTUNE_LLM_COMPRESSOR", "")
    done = subprocess.run(
        [python or sys.executable, *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if not python:
        assert done.returncode == 1
        assert f"The format {export_format} needs llm-compressor" in done.stderr
        return
    assert done.returncode == 0, done.stderr[-2000:]
    config = json.loads((tmp_path / "out/config.json").read_text())["quantization_config"]
    (group,) = config["config_groups"].values()
    assert group["weights"]["num_bits"] == group["input_activations"]["num_bits"] == 8
    assert group["weights"]["type"] == {"w8a8": "int", "fp8": "float"}[export_format]
    assert config["ignore"] == ["lm_head"]


def test_gguf_refuses_an_architecture_that_it_does_not_know(
    tuned: Path, facts: tuple[Path, Path], tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM

    from tests.training.conftest import make_tokenizer, tiny_configurations

    model: Any = AutoModelForCausalLM.from_config(tiny_configurations()["gpt2"])
    model.save_pretrained(tmp_path / "gpt2/model")
    make_tokenizer().save_pretrained(tmp_path / "gpt2/model")
    write_manifest(tmp_path / "gpt2")
    with pytest.raises(ModelError, match="not gpt2"):
        export_model(tmp_path / "gpt2", tmp_path / "out", "gguf", facts[1])
