"""One process a machine starts a worker for each of its GPUs; on CPUs here, by the same way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from doctune.errors import TrainingError
from doctune.localvertex.ports import free_port
from doctune.training import TrainingOptions, tune_model, tune_on_every_gpu
from tests.training.programs import ENVIRONMENT, adapter_weights, cluster

SETTINGS: dict[str, Any] = {
    "max_steps": 6,
    "num_train_epochs": 10,
    "learning_rate": 1e-3,
    "lora_r": 4,
    "early_stopping_patience": 0,
    "num_threads": 1,
    "dtype": "float32",
}
PROGRAM = """
import json, logging, sys
from dataclasses import asdict
from pathlib import Path
from doctune.errors import DoctuneError
from doctune.training import TrainingOptions, tune_on_every_gpu
train, validation, model, options = sys.argv[1:]
try:
    summary = tune_on_every_gpu(
        Path(train), Path(validation), Path(model), TrainingOptions(**json.loads(options)),
        processes=2,
    )
except DoctuneError as error:
    sys.exit(f"failed: {error}")
print(json.dumps(asdict(summary)))
"""


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def start(
    facts: tuple[Path, Path], model: Path, options: dict[str, Any], **environment: str
) -> subprocess.Popen[str]:
    arguments = [*map(str, facts), str(model), json.dumps(options)]
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, *arguments],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_processes_of_a_machine_make_the_model_that_one_makes(
    tiny_model: Path, facts: tuple[Path, Path], tmp_path: Path
) -> None:
    base = {**SETTINGS, "base_model": str(tiny_model)}
    alone = TrainingOptions(**base, per_device_train_batch_size=8)
    expected = tune_model(*facts, tmp_path / "alone", alone)

    summary = tune_on_every_gpu(
        *facts,
        tmp_path / "together",
        TrainingOptions(**base, per_device_train_batch_size=4),
        curves_path=tmp_path / "curves.html",
        caps=["less than all"],
        processes=2,
    )

    assert (summary.steps, summary.tokens_trained) == (expected.steps, expected.tokens_trained)
    assert summary.loss_after == pytest.approx(expected.loss_after, abs=1e-5)
    assert summary.caps[0] == "less than all"
    assert (tmp_path / "curves.html").is_file()
    weights = adapter_weights(tmp_path / "alone")
    for name, found in adapter_weights(tmp_path / "together").items():
        assert torch.allclose(found, weights[name], atol=1e-5)


def test_two_machines_of_two_processes_train_one_model(
    tiny_model: Path, facts: tuple[Path, Path], tmp_path: Path
) -> None:
    options = {**SETTINGS, "base_model": str(tiny_model), "per_device_train_batch_size": 2}
    port = free_port()
    machines = [
        start(facts, tmp_path / f"machine{index}", options, **cluster(index, port))
        for index in range(2)
    ]
    told = []
    for process in machines:
        out, log = process.communicate(timeout=240)
        assert process.returncode == 0, log
        told.append(json.loads(out))

    alone = TrainingOptions(**{**options, "per_device_train_batch_size": 8})
    expected = tune_model(*facts, tmp_path / "alone", alone)
    assert told[0]["digest"] == told[1]["digest"]
    assert told[0]["tokens_trained"] == expected.tokens_trained
    assert told[0]["loss_after"] == pytest.approx(expected.loss_after, abs=1e-5)
    assert (tmp_path / "machine0/training.json").is_file()
    assert not (tmp_path / "machine1").exists()


def test_what_a_worker_raises_is_said_in_its_words(
    tiny_model: Path, facts: tuple[Path, Path], tmp_path: Path
) -> None:
    options = TrainingOptions(**SETTINGS, base_model=str(tiny_model), max_length=16)

    with pytest.raises(TrainingError, match="no answer fits into 16 tokens") as caught:
        tune_on_every_gpu(*facts, tmp_path / "m", options, processes=2)

    assert "\n" not in str(caught.value)
    assert not (tmp_path / "m").exists()


def test_sigterm_reaches_the_workers_who_save_first(
    tiny_model: Path, facts: tuple[Path, Path], tmp_path: Path
) -> None:
    checkpoints = tmp_path / "checkpoints"
    options = {
        **SETTINGS,
        "base_model": str(tiny_model),
        "max_steps": -1,
        "num_train_epochs": 1000,
        "checkpoint_dir": str(checkpoints),
        "checkpoint_steps": 5,
    }
    process = start(facts, tmp_path / "m", options)
    deadline = time.monotonic() + 120
    while not list(checkpoints.rglob("step-*")):
        assert time.monotonic() < deadline, "no checkpoint appeared"
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=90)

    assert process.returncode == 1
    assert "run again with the same settings to resume from" in log


def test_one_process_is_this_one(
    tiny_model: Path, facts: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without several GPUs nothing is started; nor within a worker that has one of several."""
    from doctune.training import launch

    def never(command: Any) -> int:
        raise AssertionError(command)

    monkeypatch.setattr(launch, "_run", never)
    options = TrainingOptions(**{**SETTINGS, "max_steps": 1}, base_model=str(tiny_model))
    assert tune_on_every_gpu(*facts, tmp_path / "m", options).steps == 1

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert tune_on_every_gpu(*facts, tmp_path / "n", options).steps == 1
