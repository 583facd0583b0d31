"""No work is lost: what is killed, told to end or cut short goes on where it was."""

from __future__ import annotations

import errno
import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from doctune.errors import TrainingError
from doctune.localvertex.ports import free_port
from doctune.training import TrainingOptions, tune_model
from doctune.training.checkpoints import Checkpoint, CheckpointFolder
from doctune.training.history import TrainingHistory
from tests.training.programs import adapter_weights, cluster, start_training

EPOCHS = 20
STEPS = 10 * EPOCHS  # of four examples each
SETTINGS: dict[str, Any] = {
    "num_train_epochs": EPOCHS,
    "per_device_train_batch_size": 4,
    "learning_rate": 2e-3,
    "lora_r": 4,
    "lora_dropout": 0.1,  # needs the same random numbers after a restart
    "early_stopping_patience": 0,
    "evals_per_epoch": 1,
    "num_threads": 1,
    "dtype": "float32",
    "checkpoint_steps": 40,
}


def settings(tiny_model: Path, folder: Path | None = None, **others: Any) -> dict[str, Any]:
    where = {} if folder is None else {"checkpoint_dir": str(folder)}
    return {**SETTINGS, "base_model": str(tiny_model), **where, **others}


def wait_for_checkpoints(folder: Path, count: int) -> None:
    deadline = time.monotonic() + 120
    while len(list(folder.rglob("step-*"))) < count:
        assert time.monotonic() < deadline, "no checkpoint appeared"
        time.sleep(0.02)


def test_a_run_that_goes_on_with_more_workers_learns_from_all_that_is_left(
    tiny_model: Path, facts: tuple[Path, Path], tmp_path: Path
) -> None:
    """At step 50 of 200 with one worker, step 100 of two workers is not the end."""
    checkpoints = tmp_path / "checkpoints"
    alone = start_training(facts, tmp_path / "m", settings(tiny_model, checkpoints))
    wait_for_checkpoints(checkpoints, 1)
    alone.send_signal(signal.SIGTERM)
    _, log = alone.communicate(timeout=60)
    made = int(log.split("after step ")[1].split(";")[0])
    assert 40 <= made < STEPS, log

    port = free_port()
    together = [
        start_training(
            facts, tmp_path / "m", settings(tiny_model, checkpoints), cluster(index, port)
        )
        for index in range(2)
    ]
    for process in together:
        _, log = process.communicate(timeout=180)
        assert process.returncode == 0, log

    record = json.loads((tmp_path / "m/training.json").read_text())
    assert record["tokens_trained"] == EPOCHS * record["examples"]["train"]["tokens"]
    in_this_epoch = made % 10
    rest = -(-(10 - in_this_epoch) // 2) if in_this_epoch else 0
    epochs_left = EPOCHS - made // 10 - bool(in_this_epoch)
    assert record["steps"] == made + rest + 5 * epochs_left


def test_a_killed_run_goes_on_to_the_same_weights(
    tiny_model: Path, facts: tuple[Path, Path], tmp_path: Path
) -> None:
    checkpoints = tmp_path / "checkpoints"
    process = start_training(facts, tmp_path / "resumed", settings(tiny_model, checkpoints))
    wait_for_checkpoints(checkpoints, 1)
    time.sleep(time.time_ns() % 500 / 1000)  # any moment will do
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "resumed").exists()

    resumed = start_training(facts, tmp_path / "resumed", settings(tiny_model, checkpoints))
    unbroken = TrainingOptions(**settings(tiny_model))
    summary = tune_model(*facts, tmp_path / "unbroken", unbroken)
    answer, log = resumed.communicate(timeout=120)
    assert resumed.returncode == 0, log
    assert json.loads(answer)["steps"] == summary.steps == STEPS
    expected = adapter_weights(tmp_path / "unbroken")
    for name, found in adapter_weights(tmp_path / "resumed").items():
        assert torch.allclose(found, expected[name], atol=1e-6)
    first, second = (
        json.loads((tmp_path / name / "training.json").read_text())["curve"]
        for name in ("unbroken", "resumed")
    )
    assert first == second


def test_sigterm_saves_first_and_says_how_to_go_on(
    tiny_model: Path, facts: tuple[Path, Path], tmp_path: Path
) -> None:
    checkpoints = tmp_path / "checkpoints"
    never = settings(tiny_model, checkpoints, num_train_epochs=1000, checkpoint_steps=25)
    process = start_training(facts, tmp_path / "m", never)
    wait_for_checkpoints(checkpoints, 1)
    process.terminate()
    _, log = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"run again with the same settings to resume from {checkpoints}" in log
    assert "Traceback" not in log
    step = int(log.split("after step ")[1].split(";")[0])
    names = [path.name for path in checkpoints.rglob("*") if path.is_file()]
    assert f"step-{step:08d}.safetensors" in names
    assert len(names) == 2


def test_a_run_that_is_done_leaves_no_checkpoint_and_touches_no_others(
    tiny_model: Path, facts: tuple[Path, Path], tmp_path: Path
) -> None:
    """Two runs share a folder, as those of a bucket do; the shorter is not the older one's prey."""
    shared = tmp_path / "checkpoints"
    kept = settings(tiny_model, shared, num_train_epochs=1000, checkpoint_steps=40)
    long = start_training(facts, tmp_path / "long", kept)
    wait_for_checkpoints(shared, 2)
    long.terminate()
    _, log = long.communicate(timeout=60)
    before = sorted(shared.rglob("step-*"))

    short = settings(tiny_model, shared, num_train_epochs=1, checkpoint_steps=4, seed=2)
    tune_model(*facts, tmp_path / "short", TrainingOptions(**short))

    assert sorted(shared.rglob("step-*")) == before
    assert len(before) == 2, log


def checkpoint(step: int) -> Checkpoint:
    history = TrainingHistory(steps=step, validations=[(0, 2.5)], train_losses=[1.0] * step)
    return Checkpoint(history=history, tensors={"weight.0": torch.full((3,), float(step))})


def test_only_the_last_checkpoints_are_kept_and_come_back_as_they_were(tmp_path: Path) -> None:
    folder = CheckpointFolder(str(tmp_path / "c"), "run", keep=2)
    assert folder.newest() is None
    for step in (1, 2, 3):
        folder.save(checkpoint(step))
    names = sorted(path.name for path in (tmp_path / "c").iterdir())
    assert names == ["step-00000002.safetensors", "step-00000003.safetensors"]
    newest = folder.newest()
    assert newest is not None
    assert newest.history == checkpoint(3).history
    assert newest.tensors["weight.0"].tolist() == [3, 3, 3]


def test_a_url_keeps_checkpoints_too() -> None:
    folder = CheckpointFolder("memory://bucket/checkpoints", "run", keep=1)
    folder.save(checkpoint(1))
    folder.save(checkpoint(2))
    newest = folder.newest()
    assert newest is not None
    assert newest.history.steps == 2


def test_checkpoints_of_other_runs_are_passed_over(tmp_path: Path) -> None:
    CheckpointFolder(str(tmp_path), "other settings", keep=1).save(checkpoint(9))
    assert CheckpointFolder(str(tmp_path), "run", keep=1).newest() is None


def test_a_truncated_checkpoint_gives_way_to_the_one_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = CheckpointFolder(str(tmp_path), "run", keep=3)
    folder.save(checkpoint(1))
    folder.save(checkpoint(2))
    second = tmp_path / "step-00000002.safetensors"
    second.write_bytes(second.read_bytes()[:-4])
    newest = folder.newest()
    assert newest is not None
    assert newest.history.steps == 1

    first = tmp_path / "step-00000001.safetensors"
    first.write_bytes(first.read_bytes()[:20])
    with pytest.raises(TrainingError, match="delete them to start again") as caught:
        folder.newest()
    assert "\n" not in str(caught.value)


def test_a_full_disk_is_one_clear_line_and_leaves_the_earlier_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import safetensors.torch

    folder = CheckpointFolder(str(tmp_path), "run", keep=2)
    folder.save(checkpoint(1))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    with pytest.raises(TrainingError, match="the disk is full"):
        folder.save(checkpoint(2))
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001.safetensors"]


def test_full_memory_names_the_setting_that_would_fit(
    tiny_model: Path, facts: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from doctune.training.network import AnswerNetwork

    def full(*_: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 B")

    monkeypatch.setattr(AnswerNetwork, "logits", full)
    options = TrainingOptions(**settings(tiny_model, pack_tokens=800))
    with pytest.raises(TrainingError, match=r"training\.pack_tokens to 400 \(now 800\)"):
        tune_model(*facts, tmp_path / "m", options)
