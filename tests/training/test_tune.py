"""The stage as the pipeline calls it, on a tiny random model."""

from __future__ import annotations

import errno
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from doctune.errors import DatasetError, ModelError, TrainingError
from doctune.training import TrainingOptions, tune_model

SETTINGS: dict[str, Any] = {
    "learning_rate": 1e-2,
    "num_train_epochs": 2,
    "per_device_train_batch_size": 8,
    "lora_r": 4,
    "num_threads": 1,
    "dtype": "float32",
}


def options(model: Path, **settings: Any) -> TrainingOptions:
    return TrainingOptions(base_model=str(model), **{**SETTINGS, **settings})


def test_a_run_lowers_the_loss_and_leaves_a_whole_model(
    tiny_model: Path, facts: tuple[Path, Path], tmp_path: Path
) -> None:
    curves = tmp_path / "curves.html"
    summary = tune_model(*facts, tmp_path / "model", options(tiny_model), curves_path=curves)

    assert summary.loss_after < summary.loss_before - 0.5
    assert summary.steps == 10
    assert (tmp_path / "model/adapter/adapter_model.safetensors").is_file()
    assert (tmp_path / "model/model/model.safetensors").is_file()
    assert (tmp_path / "model/model/chat_template.jinja").is_file()
    page = curves.read_text()
    assert "<svg" in page
    assert "http" not in page
    record = json.loads((tmp_path / "model/training.json").read_text())
    assert record["base_model"] == str(tiny_model)
    assert record["tokens_trained"] == summary.tokens_trained
    assert record["options"]["lora_r"] == 4
    assert len(record["curve"]["train"]) == 10
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.html", "model"]


def test_a_run_cut_short_by_max_steps_says_so_with_what_was_left_out_before(
    tiny_model: Path, facts: tuple[Path, Path], tmp_path: Path
) -> None:
    given = ["40 of 90 examples were kept (dataset.max_examples)"]

    summary = tune_model(*facts, tmp_path / "a", options(tiny_model, max_steps=3), caps=given)
    whole = tune_model(*facts, tmp_path / "b", options(tiny_model, max_steps=10))

    assert summary.caps == (*given, "training ended after 3 of 10 steps (training.max_steps)")
    assert json.loads((tmp_path / "a/training.json").read_text())["caps"] == list(summary.caps)
    assert whole.caps == ()


def test_merged_model_answers_as_the_base_with_the_adapter(
    tiny_model: Path, facts: tuple[Path, Path], tmp_path: Path
) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    tune_model(*facts, tmp_path / "model", options(tiny_model, num_train_epochs=1))
    base: Any = AutoModelForCausalLM.from_pretrained(tiny_model)
    adapted: Any = PeftModel.from_pretrained(base, tmp_path / "model/adapter")
    merged: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "model/model")
    ids = torch.randint(3, 259, (2, 20), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.allclose(adapted(ids).logits, merged(ids).logits, atol=1e-5)


def test_same_seed_gives_same_weights_and_another_seed_others(
    tiny_model: Path, facts: tuple[Path, Path], tmp_path: Path
) -> None:
    digests = [
        tune_model(*facts, tmp_path / name, options(tiny_model, num_train_epochs=1, seed=seed))
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    assert digests[0].digest == digests[1].digest
    weights = [
        (tmp_path / name / "adapter/adapter_model.safetensors").read_bytes() for name in "abc"
    ]
    assert weights[0] == weights[1]
    assert weights[0] != weights[2]


def test_training_stops_when_validation_stalls_and_keeps_the_best(
    tiny_model: Path, facts: tuple[Path, Path], tmp_path: Path
) -> None:
    summary = tune_model(
        *facts,
        tmp_path / "model",
        options(tiny_model, num_train_epochs=60, learning_rate=5e-2, evals_per_epoch=1),
    )
    record = json.loads((tmp_path / "model/training.json").read_text())
    losses = [point["loss"] for point in record["curve"]["validation"]]
    assert summary.stopped_early
    assert summary.steps < 300
    assert summary.loss_after == min(losses)
    assert summary.loss_after < losses[-1]


def test_answers_cut_by_max_length_are_counted_and_said(
    tiny_model: Path, facts: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    logger = logging.getLogger("doctune.training")
    logger.addHandler(caplog.handler)
    tune_model(*facts, tmp_path / "m", options(tiny_model, max_length=64, max_steps=1))
    logger.removeHandler(caplog.handler)
    record = json.loads((tmp_path / "m/training.json").read_text())
    assert record["examples"]["train"]["answers_cut"] > 0
    assert "answers were cut" in caplog.text
    assert "training.max_length" in caplog.text


def test_no_answer_within_max_length_is_an_error(
    tiny_model: Path, facts: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(DatasetError, match=r"no answer fits into 16 tokens"):
        tune_model(*facts, tmp_path / "m", options(tiny_model, max_length=16))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is missing"),
        ("", "holds no examples"),
        ("{not json\n", "line 1: not JSON"),
        ('{"messages": []}\n', "line 1: no list of `messages`"),
        ('{"messages": [{"role": "user", "content": "a"}]}\n', "no assistant message"),
        ('{"messages": [{"role": "robot", "content": "a"}]}\n', "needs a role"),
    ],
)
def test_a_bad_data_set_is_one_clear_line(
    content: str | None, message: str, tiny_model: Path, facts: tuple[Path, Path], tmp_path: Path
) -> None:
    bad = tmp_path / "bad.jsonl"
    if content is not None:
        bad.write_text(content)
    with pytest.raises(DatasetError, match=message) as caught:
        tune_model(bad, facts[1], tmp_path / "m", options(tiny_model))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "m").exists()


def test_a_loss_that_is_no_number_names_the_setting_to_lower(
    tiny_model: Path, facts: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match=r"lower training\.learning_rate"):
        tune_model(
            *facts,
            tmp_path / "m",
            options(tiny_model, learning_rate=1.0, lora_r=16, lora_alpha=5 * 10**39),
        )
    assert not (tmp_path / "m").exists()


def test_unknown_target_modules_are_one_clear_line(
    tiny_model: Path, facts: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"training\.target_modules"):
        tune_model(*facts, tmp_path / "m", options(tiny_model, target_modules=("nowhere",)))


def test_a_full_disk_is_one_clear_line_and_the_old_model_stays(
    tiny_model: Path,
    facts: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import transformers

    tune_model(*facts, tmp_path / "m", options(tiny_model, max_steps=1))
    before = (tmp_path / "m/training.json").read_text()

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(transformers.PreTrainedModel, "save_pretrained", full)
    with pytest.raises(TrainingError, match="the disk is full"):
        tune_model(*facts, tmp_path / "m", options(tiny_model, max_steps=2))
    assert (tmp_path / "m/training.json").read_text() == before
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
