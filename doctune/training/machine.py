"""Chooses device, precision, threads and allocator settings for this machine, and logs them.

Measured with SmolLM2-135M on a Zen 5 CPU without AMX: bfloat16 takes half of float32's time where
the CPU multiplies bfloat16 (AVX512-BF16, AMX), and twice its time where it does not. In float32,
oneDNN's matrix product is 2.2 times as fast as MKL's on AMD, with the same result; PyTorch uses
oneDNN only if lower precision is allowed, which without AMX it then does not use. glibc returns
large blocks to the kernel after each use, which costs 10 to 20% in page faults; two settings of its
allocator prevent that, as preloading tcmalloc would.
"""

from __future__ import annotations

import ctypes
import importlib.util
import logging
import os
import sys
from ctypes.util import find_library
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from doctune.errors import TrainingError
from doctune.training.options import TrainingOptions

if TYPE_CHECKING:
    import torch

logger = logging.getLogger("doctune.training")

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
# Memory is trimmed when the process holds this many times what it needed.
_GROWTH = 1.3
# Larger packs are no faster on a CPU, and fit its caches less well.
_PACK_TOKENS = 1024
_ALLOCATORS = ("tcmalloc", "jemalloc", "mimalloc")


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Device, precision and kernels of a run."""

    device: str  # "cpu" or "cuda"
    dtype: torch.dtype
    threads: int
    description: str
    attention: str = (
        ""  # name of a transformers attention implementation; "" for the model's default
    )
    pack_tokens: int = _PACK_TOKENS  # computed at once


def prepare_machine(options: TrainingOptions) -> Machine:
    """Chooses device, precision and threads, sets them for this process, and logs the choice.

    Raises:
        TrainingError: There are more workers than GPUs on this machine.
    """
    import torch

    if torch.cuda.is_available():
        machine = _choose_gpu(options)
    else:
        machine = _prepare_cpu(options)
        if advice := _allocator_advice(_loaded_allocator(), find_library("tcmalloc_minimal")):
            logger.info("%s", advice)
    logger.info("Training on %s", machine.description)
    return machine


def _choose_gpu(options: TrainingOptions) -> Machine:
    import torch

    if place := os.environ.get("LOCAL_RANK"):  # set by torchrun: one GPU for each worker
        _take_gpu(int(place))
    dtype = torch.float32 if options.dtype == "float32" else torch.bfloat16
    # FlashAttention computes in half precision only.
    flash = dtype == torch.bfloat16 and importlib.util.find_spec("flash_attn") is not None
    parts = [torch.cuda.get_device_name(), str(dtype).removeprefix("torch.")]
    parts.append("FlashAttention" if flash else "SDPA")
    return Machine(
        device="cuda",
        dtype=dtype,
        threads=1,
        description=", ".join(parts),
        attention="flash_attention_2" if flash else "",
        # Larger packs need fewer kernel launches. This is the size of a batch in which every
        # example has the maximum length.
        pack_tokens=options.pack_tokens or options.per_device_train_batch_size * options.max_length,
    )


def _take_gpu(place: int) -> None:
    import torch

    count = torch.cuda.device_count()
    if place >= count:
        raise TrainingError(
            f"Worker {place} of this machine has no GPU: it has {count}, one for each worker; "
            f"run torchrun with --nproc-per-node {count}."
        )
    torch.cuda.set_device(place)


def _prepare_cpu(options: TrainingOptions) -> Machine:
    import torch

    threads = options.num_threads or _default_threads()
    torch.set_num_threads(threads)
    fast_bfloat16 = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    wanted = options.dtype
    if wanted == "auto":
        wanted = "bfloat16" if fast_bfloat16 else "float32"
    dtype = torch.bfloat16 if wanted == "bfloat16" else torch.float32
    if not torch.cpu._is_amx_tile_supported():
        torch.backends.mkldnn.matmul.fp32_precision = "bf16"  # type: ignore[attr-defined]
    _keep_freed_memory()
    why = "the CPU multiplies it" if fast_bfloat16 else "the CPU has no bfloat16 units"
    reason = f" ({why})" if options.dtype == "auto" else ""
    allocator = _loaded_allocator()
    return Machine(
        device="cpu",
        dtype=dtype,
        threads=threads,
        description=f"CPU, {threads} thread{'s' * (threads > 1)}, {wanted}{reason}"
        + (f", {allocator}" if allocator else ""),
        pack_tokens=options.pack_tokens or _PACK_TOKENS,
    )


def _loaded_allocator() -> str:
    """Returns the name of a preloaded memory allocator, or ""."""
    maps = Path("/proc/self/maps")
    loaded = maps.read_text(errors="replace") if maps.is_file() else ""
    return next((name for name in _ALLOCATORS if f"lib{name}" in loaded), "")


def _allocator_advice(loaded: str, tcmalloc: str | None) -> str:
    if loaded or tcmalloc is None:
        return ""
    return f"tcmalloc is installed: training may be faster with LD_PRELOAD={tcmalloc}."


def _default_threads() -> int:
    """Returns `OMP_NUM_THREADS` where it is set, else the cores that this process may use."""
    configured = os.environ.get("OMP_NUM_THREADS", "")
    if configured.isdigit() and int(configured) > 0:
        return int(configured)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _keep_freed_memory() -> None:
    """Makes glibc keep freed memory instead of returning it to the kernel after each step."""
    if (library := _glibc()) is not None:
        library.mallopt(_M_MMAP_THRESHOLD, 32 << 20)
        library.mallopt(_M_TRIM_THRESHOLD, 512 << 20)
        library.mallopt(_M_TOP_PAD, 64 << 20)


def _glibc() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    try:
        library = ctypes.CDLL("libc.so.6")
    except OSError:
        return None  # another C library: training works, but slower
    return library if hasattr(library, "malloc_trim") else None


class MemoryWatch:
    """Trims the heap when fragmentation makes it grow.

    Steps of different lengths fragment the heap; without trimming, a long run grew to four times
    the memory it needs.
    """

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._needed = 0

    def after_step(self) -> float:
        """Trims the heap if it has grown too much; returns the process' memory in bytes."""
        held = int(self._process.memory_info().rss)
        if self._needed and held > _GROWTH * self._needed and (library := _glibc()) is not None:
            library.malloc_trim(0)
            held = int(self._process.memory_info().rss)
            self._needed = max(self._needed, held)
        elif not self._needed:
            self._needed = held
        return held
