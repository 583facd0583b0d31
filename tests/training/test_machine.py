"""What is chosen by the machine is said, and the user's word wins."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from doctune.errors import TrainingError
from doctune.training import TrainingOptions, machine, tune_model


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Any:
    """What doctune logs."""
    logger = logging.getLogger("doctune.training")
    caplog.set_level(logging.INFO, logger="doctune.training")
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)


def with_cpu(monkeypatch: pytest.MonkeyPatch, *, avx512_bf16: bool, amx: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512_bf16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)


@pytest.mark.parametrize(
    ("avx512_bf16", "amx", "wanted", "dtype", "said_of_it"),
    [
        (True, False, "auto", torch.bfloat16, "bfloat16 (the CPU multiplies it)"),
        (False, True, "auto", torch.bfloat16, "bfloat16 (the CPU multiplies it)"),
        (False, False, "auto", torch.float32, "float32 (the CPU has no bfloat16 units)"),
        (True, True, "float32", torch.float32, "float32"),
        (False, False, "bfloat16", torch.bfloat16, "bfloat16"),
    ],
)
def test_the_cpu_decides_on_the_precision_unless_the_user_does(
    avx512_bf16: bool,
    amx: bool,
    wanted: Any,
    dtype: torch.dtype,
    said_of_it: str,
    monkeypatch: pytest.MonkeyPatch,
    said: pytest.LogCaptureFixture,
) -> None:
    with_cpu(monkeypatch, avx512_bf16=avx512_bf16, amx=amx)
    chosen = machine.prepare_machine(TrainingOptions(dtype=wanted, num_threads=1))
    assert chosen.dtype == dtype
    assert f"Training on CPU, 1 thread, {said_of_it}" in said.text


def test_threads_are_the_users_then_openmps_then_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    try:
        monkeypatch.setenv("OMP_NUM_THREADS", "3")
        assert machine.prepare_machine(TrainingOptions(num_threads=2)).threads == 2
        assert machine.prepare_machine(TrainingOptions()).threads == 3
        monkeypatch.delenv("OMP_NUM_THREADS")
        cores = len(os.sched_getaffinity(0))
        assert machine.prepare_machine(TrainingOptions()).threads == cores
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("installed", "dtype", "attention", "said_of_it"),
    [
        (True, "auto", "flash_attention_2", "NVIDIA L4, bfloat16, FlashAttention"),
        (True, "float32", "", "NVIDIA L4, float32, SDPA"),
        (False, "auto", "", "NVIDIA L4, bfloat16, SDPA"),
    ],
)
def test_a_gpu_gets_flash_attention_where_it_is(
    installed: bool,
    dtype: Any,
    attention: str,
    said_of_it: str,
    monkeypatch: pytest.MonkeyPatch,
    said: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA L4")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: installed or None)
    chosen = machine.prepare_machine(TrainingOptions(dtype=dtype))
    assert (chosen.device, chosen.attention) == ("cuda", attention)
    assert said_of_it in said.text


@pytest.mark.parametrize(("wanted", "cpu", "gpu"), [(0, 1024, 4 * 256), (300, 300, 300)])
def test_a_gpu_computes_a_whole_batch_at_once_unless_the_user_says_how_much(
    wanted: int, cpu: int, gpu: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = TrainingOptions(
        pack_tokens=wanted, per_device_train_batch_size=4, max_length=256, num_threads=1
    )
    assert machine.prepare_machine(options).pack_tokens == cpu
    with_gpus(monkeypatch, 1)
    assert machine.prepare_machine(options).pack_tokens == gpu


def test_each_of_a_machines_workers_takes_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = with_gpus(monkeypatch, 2)
    machine.prepare_machine(TrainingOptions())
    assert taken == []  # torchrun is not there: the one that is current stays so
    for place in "01":
        monkeypatch.setenv("LOCAL_RANK", place)
        machine.prepare_machine(TrainingOptions())
    assert taken == [0, 1]
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(TrainingError, match="--nproc-per-node 2"):
        machine.prepare_machine(TrainingOptions())


def with_gpus(monkeypatch: pytest.MonkeyPatch, count: int) -> list[int]:
    """Feigns some GPUs; returns the list to which those that are taken are added."""
    taken: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA L4")
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    return taken


def test_a_loaded_allocator_is_seen(tmp_path: Path) -> None:
    source = tmp_path / "empty.c"
    source.write_text("int nothing;\n")
    library = tmp_path / "libtcmalloc_minimal.so.4"
    subprocess.run(["gcc", "-shared", "-o", str(library), str(source)], check=True, timeout=300)
    program = "from doctune.training import machine; print(machine._loaded_allocator())"
    seen = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, **preload},
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        ).stdout.strip()
        for preload in ({"LD_PRELOAD": str(library)}, {"LD_PRELOAD": ""})
    ]
    assert seen == ["tcmalloc", ""]


def test_an_allocator_that_is_there_but_not_loaded_is_named() -> None:
    advice = machine._allocator_advice("", "libtcmalloc_minimal.so.4")
    assert "LD_PRELOAD=libtcmalloc_minimal.so.4" in advice
    assert machine._allocator_advice("tcmalloc", "libtcmalloc_minimal.so.4") == ""
    assert machine._allocator_advice("", None) == ""


@pytest.mark.parametrize(
    ("given", "policy"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "active"}, "active")]
)
def test_threads_wait_asleep_from_before_torch_is_loaded(
    given: dict[str, str], policy: str
) -> None:
    program = (
        "import os, sys, doctune.training\n"
        "print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**environment, **given},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert done.stdout.split() == [policy, "False"]


def test_the_run_says_how_much_was_trained_and_how_much_of_it_was_padding(
    tiny_model: Path, facts: tuple[Path, Path], tmp_path: Path, said: pytest.LogCaptureFixture
) -> None:
    options = TrainingOptions(base_model=str(tiny_model), max_steps=2, num_threads=1)
    summary = tune_model(*facts, tmp_path / "m", options)
    record = json.loads((tmp_path / "m/training.json").read_text())
    assert record["padding_share"] == 0  # packed end to end
    assert 0 < record["taught_tokens"] < record["tokens_trained"]
    assert record["computed_tokens"] < record["tokens_trained"]  # what all begin with, once
    trained = f"on {summary.tokens_trained:,} tokens"
    assert f"{trained} (0.0% of the computed tokens were padding)" in said.text
