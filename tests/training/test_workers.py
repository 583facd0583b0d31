"""Workers that train together make the steps that one would have made."""

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
from doctune.training import TrainingOptions, tune_model
from doctune.training.examples import Example
from doctune.training.sharding import even_packs
from doctune.training.workers import Workers
from tests.training.programs import (
    ENVIRONMENT,
    adapter_weights,
    cluster,
    start_training,
)

SETTINGS: dict[str, Any] = {
    "max_steps": 10,
    "num_train_epochs": 10,
    "learning_rate": 1e-3,
    "lora_r": 4,
    "early_stopping_patience": 0,
    "num_threads": 1,
    "dtype": "float32",
}


def test_two_workers_make_the_steps_of_one(
    tiny_model: Path, facts: tuple[Path, Path], tmp_path: Path
) -> None:
    base = {**SETTINGS, "base_model": str(tiny_model)}
    port = free_port()
    running = [
        start_training(
            facts,
            tmp_path / f"worker{index}",
            {**base, "per_device_train_batch_size": 4},
            cluster(index, port),
        )
        for index in range(2)
    ]
    alone = TrainingOptions(**base, per_device_train_batch_size=8)
    expected = tune_model(*facts, tmp_path / "alone", alone)
    for process in running:
        _, log = process.communicate(timeout=120)
        assert process.returncode == 0, log
    assert not (tmp_path / "worker1").exists()  # worker 0 alone writes

    weights = adapter_weights(tmp_path / "alone")
    for name, found in adapter_weights(tmp_path / "worker0").items():
        assert torch.allclose(found, weights[name], atol=1e-5)
    record = json.loads((tmp_path / "worker0/training.json").read_text())
    assert record["steps"] == expected.steps == 10
    assert record["tokens_trained"] == expected.tokens_trained  # none lost, none doubled
    assert record["loss_after"] == pytest.approx(expected.loss_after, abs=1e-5)


def test_workers_that_share_the_frozen_weights_make_the_steps_of_one(
    tiny_model: Path, facts: tuple[Path, Path], tmp_path: Path
) -> None:
    # At this bound a worker has one pack or two, and the other often not as many.
    base = {**SETTINGS, "base_model": str(tiny_model), "pack_tokens": 270}
    port = free_port()
    running = [
        start_training(
            facts,
            tmp_path / f"worker{index}",
            {**base, "per_device_train_batch_size": 4, "fsdp": True},
            cluster(index, port),
        )
        for index in range(2)
    ]
    alone = TrainingOptions(**base, per_device_train_batch_size=8)
    expected = tune_model(*facts, tmp_path / "alone", alone)
    for process in running:
        _, log = process.communicate(timeout=120)
        assert process.returncode == 0, log
        share = float(log.split("FSDP2: this worker keeps ")[1].split("%")[0])
        assert 45 < share < 55

    weights = adapter_weights(tmp_path / "alone")
    for name, found in adapter_weights(tmp_path / "worker0").items():
        assert torch.allclose(found, weights[name], atol=1e-5)
    record = json.loads((tmp_path / "worker0/training.json").read_text())
    assert record["loss_after"] == pytest.approx(expected.loss_after, abs=1e-5)
    assert 0 < record["padding_share"] < 0.5  # packs computed for the other's sake are counted


@pytest.mark.parametrize("count", [1, 2, 3])
def test_fillers_give_every_worker_as_many_packs(count: int) -> None:
    examples = [Example([1] * length, [True] * length) for length in (90, 10, 80, 20, 70)]
    packs = [
        list(even_packs(examples, Workers(rank=rank, count=count), 100)) for rank in range(count)
    ]
    assert len({len(own) for own in packs}) == 1
    counted = [example for own in packs for pack, counts in own for example in pack if counts]
    assert sorted(map(id, counted)) == sorted(map(id, examples))


def test_a_filler_is_the_shortest_example_and_comes_last() -> None:
    examples = [Example([1] * length, [True] * length) for length in (90, 10, 80, 20, 70)]

    first, second = (
        [
            (sorted(len(example.input_ids) for example in pack), counts)
            for pack, counts in even_packs(examples, Workers(rank=rank, count=2), 100)
        ]
        for rank in range(2)
    )

    assert sorted(first) == [([70], True), ([80], True), ([90], True)]
    assert second == [([10, 20], True), ([10], False), ([10], False)]


@pytest.mark.parametrize(
    ("lengths", "packs"), [((50, 50, 50, 50), [100, 100]), ((51, 50), [51, 50])]
)
def test_a_pack_is_filled_up_to_its_limit_and_not_over_it(
    lengths: tuple[int, ...], packs: list[int]
) -> None:
    examples = [Example([1] * length, [True] * length) for length in lengths]

    made = [pack for pack, _ in even_packs(examples, Workers(), 100)]

    assert [sum(len(example.input_ids) for example in pack) for pack in made] == packs


def test_torchrun_starts_two_workers(
    tiny_model: Path, facts: tuple[Path, Path], tmp_path: Path
) -> None:
    options = {**SETTINGS, "base_model": str(tiny_model), "max_steps": 2}
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"),
        *("--master-addr=127.0.0.1", f"--master-port={free_port()}", "-m", "doctune.training"),
        *("--train", facts[0], "--validation", facts[1], "--model-dir", tmp_path / "m"),
        *("--options", json.dumps(options)),
    ]
    finished = subprocess.run(
        [str(part) for part in command],
        env={**os.environ, **ENVIRONMENT},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    record = json.loads((tmp_path / "m/training.json").read_text())
    assert record["steps"] == 2
    assert finished.stdout.count('"digest"') == 2


def test_a_worker_that_dies_fails_the_others_within_a_minute(
    tiny_model: Path, facts: tuple[Path, Path], tmp_path: Path
) -> None:
    port = free_port()
    options = {
        **SETTINGS,
        "base_model": str(tiny_model),
        "max_steps": -1,
        "num_train_epochs": 1000,
        "checkpoint_dir": str(tmp_path / "checkpoints"),
        "checkpoint_steps": 5,
    }
    running = [
        start_training(facts, tmp_path / "m", options, cluster(index, port)) for index in range(2)
    ]
    deadline = time.monotonic() + 240
    while not list((tmp_path / "checkpoints").rglob("step-*")):
        assert time.monotonic() < deadline, "waited 240 s for the first checkpoint"
        time.sleep(0.05)
    running[1].send_signal(signal.SIGKILL)
    died = time.monotonic()
    _, log = running[0].communicate(timeout=60)
    assert time.monotonic() - died < 60
    running[1].communicate(timeout=60)
    assert running[0].returncode == 1, log
    assert "lost another worker" in log
    assert "Traceback" not in log
    assert not (tmp_path / "m").exists()


def test_a_worker_that_never_comes_is_named_within_a_minute(
    tiny_model: Path, facts: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    monkeypatch.setenv("DOCTUNE_LIMIT_WORKERS_MEET", "2")
    for name, value in cluster(0, free_port()).items():
        monkeypatch.setenv(name, value)
    options = TrainingOptions(**SETTINGS, base_model=str(tiny_model))
    with pytest.raises(TrainingError, match="Worker 0 of 2 found no others at 127") as caught:
        tune_model(*facts, tmp_path / "m", options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_shares_hold_each_example_once(count: int) -> None:
    items = list(range(20))
    shares = [Workers(rank=rank, count=count).shard(items) for rank in range(count)]
    assert sorted(item for share in shares for item in share) == items
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
