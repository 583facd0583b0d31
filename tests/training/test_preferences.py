"""Preference tuning makes the better answers likelier than the worse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import pytest

from doctune.errors import DatasetError
from doctune.training import TrainingOptions, tune_model, tune_preferences
from doctune.training.preferences import PreferenceOptions, read_verdicts


@pytest.fixture(scope="module")
def tuned(
    tiny_model: Path, facts: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A tuned tiny model."""
    folder = tmp_path_factory.mktemp("preferences") / "tuned"
    options = TrainingOptions(
        base_model=str(tiny_model), max_steps=2, lora_r=4, num_threads=1, dtype="float32"
    )
    tune_model(*facts, folder, options)
    return folder


@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_better_answers_gain_on_the_worse(
    method: Literal["dpo", "kto"], tuned: Path, tiny_model: Path, tmp_path: Path
) -> None:
    from doctune.inference.generation import TextGenerator
    from doctune.inference.options import GenerationOptions

    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text(
        "".join(
            json.dumps({"prompt": f"what is {n}", "chosen": "amber", "rejected": "nothing"}) + "\n"
            for n in range(12)
        )
    )
    summary = tune_preferences(
        pairs,
        tuned,
        tmp_path / "preferred",
        PreferenceOptions(
            method=method, learning_rate=5e-3, num_train_epochs=2, lora_r=4, max_length=128
        ),
    )
    assert summary.steps == {"dpo": 6, "kto": 12}[method]
    assert abs(summary.margin_before) < 1e-3
    assert summary.margin_after > 0.5
    record = json.loads((tmp_path / "preferred/training.json").read_text())
    assert record["base_model"] == str(tiny_model)
    assert record["preferences"]["pairs"] == {"dpo": 12, "kto": 24}[method]
    generator = TextGenerator.load(tmp_path / "preferred/model")
    generator.generate([[{"role": "user", "content": "a"}]], GenerationOptions(max_new_tokens=2))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "holds no pairs"),
        ("[1]", "line 1: needs prompt, chosen and rejected"),
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


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"prompt": "a"}', "line 1: needs prompt, completion and label"),
        ('{"prompt": "a", "completion": "b", "label": 1}', "label true or false"),
        ('{"prompt": "a", "completion": "b", "label": true}', "have the same label"),
    ],
)
def test_bad_verdicts_are_one_clear_line(line: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(line)
    with pytest.raises(DatasetError, match=message) as caught:
        read_verdicts(tmp_path / "rows.jsonl")
    assert "\n" not in str(caught.value)


def test_verdicts_come_alone_and_from_pairs(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(
        '{"prompt": "a", "completion": "b", "label": false}\n'
        '{"prompt": "c", "chosen": "d", "rejected": "e"}\n'
    )
    rows = read_verdicts(tmp_path / "rows.jsonl")
    answers = [(row["completion"][0]["content"], row["label"]) for row in rows]
    assert answers == [("b", False), ("d", True), ("e", False)]
