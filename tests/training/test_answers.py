"""What makes a run stop: how many held-out questions it answers, where that is asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from doctune.training import TrainingOptions, tune_model
from doctune.training.history import TrainingHistory
from doctune.training.loop import Run, _is_better
from tests.training.conftest import write_rows

SETTINGS: dict[str, Any] = {
    "learning_rate": 1e-2,
    "num_train_epochs": 15,
    "per_device_train_batch_size": 8,
    "lora_r": 8,
    "num_threads": 1,
    "dtype": "float32",
    "early_stopping_patience": 0,
}


@pytest.fixture
def phrasings(tmp_path: Path) -> tuple[Path, Path]:
    """Facts in three phrasings to learn; validation asks in one of these and in a fourth."""
    forms = ("what is {}", "tell me {}", "{} is what", "say what {} is")
    facts = [("the torque", "two"), ("the colour", "amber"), ("the price", "three")]
    pairs = [[(form.format(thing), value) for thing, value in facts] for form in forms]
    learnt = [pair for one in pairs[:3] for pair in one]
    return (
        write_rows(tmp_path / "train.jsonl", learnt * 8),
        write_rows(tmp_path / "validation.jsonl", pairs[0] + pairs[3]),
    )


def test_the_share_of_right_answers_is_what_greedy_decoding_gives(
    tiny_model: Path, phrasings: tuple[Path, Path], tmp_path: Path
) -> None:
    from doctune.inference.generation import GenerationOptions, TextGenerator

    options = TrainingOptions(base_model=str(tiny_model), stop_by="answers", **SETTINGS)
    summary = tune_model(*phrasings, tmp_path / "m", options)

    record = json.loads((tmp_path / "m/training.json").read_text())
    shares = [point["answers"] for point in record["curve"]["validation"]]
    assert summary.answers_before == shares[0] == 0
    assert summary.answers_after == max(shares) > 0
    rows = [json.loads(line)["messages"] for line in phrasings[1].open()]
    generator = TextGenerator.load(tmp_path / "m/model")
    given = generator.generate([row[:1] for row in rows], GenerationOptions(max_new_tokens=12))
    right = [answer.text == row[1]["content"] for answer, row in zip(given, rows, strict=True)]
    assert sum(right) / len(right) == pytest.approx(summary.answers_after)


def test_how_the_answers_are_packed_changes_no_share(
    tiny_model: Path, phrasings: tuple[Path, Path], tmp_path: Path
) -> None:
    tune_model(*phrasings, tmp_path / "m", TrainingOptions(base_model=str(tiny_model), **SETTINGS))
    again = {**SETTINGS, "base_model": str(tmp_path / "m/model"), "max_steps": 1}

    shares = [
        tune_model(
            *phrasings, tmp_path / "n", TrainingOptions(**again, pack_tokens=pack_tokens)
        ).answers_before
        for pack_tokens in (1, 64, 200, 0)
    ]

    assert shares == [shares[0]] * 4
    assert shares[0] > 0


@pytest.mark.parametrize(
    ("stop_by", "loss", "answers", "better"),
    [
        ("loss", 0.9, 0.1, True),
        ("loss", 1.1, 0.9, False),
        ("answers", 1.1, 0.6, True),  # surer of what it gets wrong, but right more often
        ("answers", 0.9, 0.4, False),
        ("answers", 0.9, 0.5, True),  # as often right: the loss decides
        ("answers", 1.1, 0.5, False),
    ],
)
def test_what_is_better_goes_by_the_setting(
    stop_by: Any, loss: float, answers: float, better: bool
) -> None:
    run: Any = Run.__new__(Run)
    run.options = TrainingOptions(stop_by=stop_by)
    run.history = TrainingHistory(validations=[(0, 1.0)], answers=[0.5])

    assert _is_better(run, loss, answers) is better
