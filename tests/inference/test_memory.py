"""The memory of keys and values follows what is free: of the machine, its container or its GPU."""

from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from doctune.inference.memory import cache_budget, free_memory, give_back_freed


def _free(monkeypatch: pytest.MonkeyPatch, available: int) -> None:
    class Memory:
        pass

    memory: Any = Memory()
    memory.available = available
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)


def _cgroup(folder: Path, limit: str, used: int, files: int = 0) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon {used - files}\ninactive_file {files}\n")
    return folder


@pytest.mark.parametrize(("available", "expected"), [(64 << 30, 32 << 30), (1 << 20, 64 << 20)])
def test_a_larger_machine_holds_more_and_a_full_one_the_least(
    available: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    _free(monkeypatch, available)
    monkeypatch.setattr("doctune.inference.memory.free_memory", lambda: available)

    assert cache_budget(torch.device("cpu")) == expected


@pytest.mark.parametrize(
    ("limit", "used", "files", "expected"),
    [
        (str(8 << 30), 2 << 30, 0, 6 << 30),  # a container on a large machine
        (str(8 << 30), 6 << 30, 3 << 30, 5 << 30),  # pages of files are given up
        (str(1 << 50), 2 << 30, 0, 64 << 30),  # its bound is above the machine's
        ("max", 2 << 30, 0, 64 << 30),
        (str(1 << 30), 2 << 30, 0, 0),
    ],
)
def test_a_containers_limit_counts(
    limit: str, used: int, files: int, expected: int, tmp_path: Path, monkeypatch: Any
) -> None:
    _free(monkeypatch, 64 << 30)

    assert free_memory(_cgroup(tmp_path / "cgroup", limit, used, files)) == expected
    assert free_memory(tmp_path / "nothing") == 64 << 30


def test_a_gpu_is_asked_for_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (10 << 30, 80 << 30))

    assert cache_budget(torch.device("cuda", 0)) == 8 << 30


def test_freed_memory_can_be_given_back_anywhere() -> None:
    give_back_freed()
