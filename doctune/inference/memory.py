"""The memory budget of the key-value cache, from the free memory of the machine."""

from __future__ import annotations

import ctypes
import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# Of what is free when the weights are there. The rest is for the computation itself and, on CPUs,
# for what else the machine does.
_SHARE_OF_GPU, _SHARE_OF_MEMORY = 0.8, 0.5
_LEAST = 64 << 20
_CGROUP = Path("/sys/fs/cgroup")


def cache_budget(device: torch.device) -> int:
    """Returns how many bytes the key-value cache of a batch may use on a device."""
    if device.type == "cuda":
        import torch

        free, _ = torch.cuda.mem_get_info(device)
        return max(_LEAST, int(_SHARE_OF_GPU * free))
    return max(_LEAST, int(_SHARE_OF_MEMORY * free_memory()))


def free_memory(cgroup: Path = _CGROUP) -> int:
    """Returns the free memory of this process in bytes: the machine's, or its container's limit."""
    import psutil

    free = int(psutil.virtual_memory().available)
    limit, used = _number(cgroup / "memory.max"), _number(cgroup / "memory.current")
    if limit is None or used is None:
        return free
    # Pages of files count as used and are given up when they are needed.
    reclaimable = 0
    for line in (cgroup / "memory.stat").read_text().split("\n"):
        if line.startswith("inactive_file "):
            reclaimable = int(line.split()[1])
    return max(0, min(free, limit - used + reclaimable))


def give_back_freed() -> None:
    """Gives memory that was freed back to the system, where the C library keeps it.

    Loading leaves behind the copies that it made: 400 MB of the 1.4 GB of a process with a model of
    135M parameters.
    """
    # Only glibc has it.
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        gc.collect()
        trim(0)


def _number(path: Path) -> int | None:
    """Returns the number in a file; None where there is no such file or it says "max"."""
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
