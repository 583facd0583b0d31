"""The program that a tuning job runs for each trial."""

import json
from pathlib import Path

import pytest

from doctune.training.trial import main


def _run(facts: tuple[Path, Path], *flags: str) -> int:
    return main(["--train", str(facts[0]), "--validation", str(facts[1]), *flags])


def test_each_validation_is_reported_under_its_step_the_last_one_too(
    tiny_model: Path,
    facts: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    metrics = tmp_path / "trial" / "metrics.jsonl"
    monkeypatch.setenv("CLOUD_ML_HP_METRIC_FILE", str(metrics))
    monkeypatch.setenv("CLOUD_ML_TRIAL_ID", "7")
    common = {
        "base_model": str(tiny_model),
        "max_steps": 4,
        "evals_per_epoch": 2,
        "dtype": "float32",
        "num_threads": 1,
    }

    code = _run(facts, "--options", json.dumps(common), "--learning_rate=0.001", "--lora_r=4.0")

    assert code == 0
    reported = [json.loads(line) for line in metrics.read_text().splitlines()]
    assert reported[-1]["global_step"] == "4"
    assert {entry["trial"] for entry in reported} == {"7"}
    least = json.loads(capsys.readouterr().out)["validation_loss"]
    assert least <= min(float(entry["validation_loss"]) for entry in reported)


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--lora_r=0", "lora_r"),
        ("--lora_r=four", "not a number"),
        ("--options=[]", "--options"),
    ],
)
def test_a_dial_that_training_cannot_take_is_a_usage_error(
    flag: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "train").touch()

    assert _run((tmp_path / "train", tmp_path / "train"), flag) == 2
    assert message in capsys.readouterr().err
