"""Preference tuning makes the better answers likelier than the worse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from doctune.errors import DatasetError
from doctune.training import TrainingOptions, tune_model, tune_preferences
from doctune.training.preferences import PreferenceOptions


def test_better_answers_gain_on_the_worse(
    tiny_model: Path, facts: tuple[Path, Path], tmp_path: Path
) -> None:
    from doctune.generation import GenerationOptions, TextGenerator

    options = TrainingOptions(
        base_model=str(tiny_model), max_steps=2, lora_r=4, num_threads=1, dtype="float32"
    )
    tune_model(*facts, tmp_path / "tuned", options)
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text(
        "".join(
            json.dumps({"prompt": f"what is {n}", "chosen": "amber", "rejected": "nothing"}) + "\n"
            for n in range(12)
        )
    )
    summary = tune_preferences(
        pairs,
        tmp_path / "tuned",
        tmp_path / "preferred",
        PreferenceOptions(learning_rate=5e-3, num_train_epochs=2, lora_r=4, max_length=128),
    )
    assert summary.steps == 6
    assert abs(summary.margin_before) < 1e-3
    assert summary.margin_after > 0.5
    record = json.loads((tmp_path / "preferred/training.json").read_text())
    assert record["base_model"] == str(tiny_model)
    assert record["preferences"]["pairs"] == 12
    generator = TextGenerator.load(tmp_path / "preferred/model")
    generator.generate([[{"role": "user", "content": "a"}]], GenerationOptions(max_new_tokens=2))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "holds no pairs"),
        ("{", "line 1: needs prompt, chosen and rejected"),
        ('{"prompt": "a", "chosen": "b"}', "line 1: needs prompt, chosen and rejected"),
        ('{"prompt": "a", "chosen": "b", "rejected": "b"}', "two different texts"),
    ],
)
def test_bad_pairs_are_one_clear_line(
    line: str, message: str, tiny_model: Path, facts: tuple[Path, Path], tmp_path: Path
) -> None:
    from doctune.training.preferences import read_pairs

    (tmp_path / "pairs.jsonl").write_text(line)
    with pytest.raises(DatasetError, match=message) as caught:
        read_pairs(tmp_path / "pairs.jsonl")
    assert "\n" not in str(caught.value)
