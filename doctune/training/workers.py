"""Data-parallel training: the worker processes and their collective operations.

Each worker holds the whole model and computes its share of each batch's packs. Before each step
the gradients of the adapter are summed over all workers, so all make the step that one worker would
have made with the whole batch. Only worker 0 writes files.

They find each other by `RANK`, `WORLD_SIZE`, `MASTER_ADDR` and `MASTER_PORT`, which `torchrun` sets
and `doctune.vertex_environment` derives on Vertex AI.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist

from doctune import limits
from doctune.errors import TrainingError
from doctune.vertex_environment import rendezvous

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Workers:
    """This process' rank among the workers; with one worker the operations do nothing."""

    rank: int = 0
    count: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this worker writes files and shows progress."""
        return self.rank == 0

    def shard(self, items: Sequence[_T]) -> list[_T]:
        """Returns this worker's part of the items; each item goes to exactly one worker."""
        return list(items[self.rank :: self.count])

    def all_reduce(self, *tensors: torch.Tensor) -> None:
        """Replaces each tensor by its sum over the workers, in one collective operation."""
        if self.count == 1:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        start = 0
        for tensor in tensors:
            tensor.copy_(flat[start : start + tensor.numel()].view_as(tensor))
            start += tensor.numel()

    def barrier(self) -> None:
        """Waits until all workers have called it."""
        if self.count > 1:
            dist.barrier()


@contextmanager
def joined_workers() -> Iterator[Workers]:
    """Joins the process group that the environment describes, for the duration of the block.

    Raises:
        TrainingError: The other workers do not connect, or one of them is lost.
    """
    environment = rendezvous(os.environ)
    count = int(environment.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Workers()
        return
    rank, master = int(environment["RANK"]), environment["MASTER_ADDR"]
    cuda = torch.cuda.is_available()
    try:
        store = dist.TCPStore(
            master,
            int(environment["MASTER_PORT"]),
            count,
            is_master=_hosts_store(rank),
            timeout=timedelta(seconds=limits.WORKERS_MEET.seconds),
        )
        dist.init_process_group(
            "nccl" if cuda else "gloo",
            store=store,
            rank=rank,
            world_size=count,
            # One that dies is noticed at once.
            timeout=timedelta(seconds=limits.WORKERS_WAIT.seconds),
        )
    except (RuntimeError, ValueError) as error:
        raise TrainingError(
            f"Worker {rank} of {count} found no others at {master}:{environment['MASTER_PORT']} "
            f"({_first_line(error)}): see the other workers' logs."
        ) from error
    try:
        yield Workers(rank=rank, count=count)
    except RuntimeError as error:
        text = str(error).lower()
        if any(word in text for word in ("connection", "gloo", "nccl", "peer", "timed out")):
            raise TrainingError(
                f"Worker {rank} of {count} lost another worker ({_first_line(error)}): "
                "see the other workers' logs, then run again; training resumes from the last "
                "checkpoint."
            ) from error
        raise
    finally:
        dist.destroy_process_group()


def _hosts_store(rank: int) -> bool:
    # torchrun's agent already hosts the store at the address that it gives its workers.
    return rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:200] if lines else type(error).__name__
