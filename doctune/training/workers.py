"""The processes that train together: who they are, and what they tell each other.

Each worker holds the whole model, computes its share of each batch's packs, and adds up the
gradients of the adapter with the others before each step, so all make the same step: what one
worker would have made with the whole batch. Worker 0 alone writes.

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

from doctune.errors import TrainingError
from doctune.vertex_environment import rendezvous

# The others wait this long for one that computes or writes. One that dies is noticed at once.
_PATIENCE = timedelta(minutes=20)
_RENDEZVOUS = timedelta(seconds=50)

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Workers:
    """This worker's place among all; alone, all it does is nothing."""

    rank: int = 0
    count: int = 1

    @property
    def writes(self) -> bool:
        """Whether this is the one that writes files and shows progress."""
        return self.rank == 0

    def share(self, items: Sequence[_T]) -> list[_T]:
        """Returns this worker's part of some items; together the workers have each once."""
        return list(items[self.rank :: self.count])

    def add_up(self, *tensors: torch.Tensor) -> None:
        """Replaces each tensor by its sum over the workers, in one exchange."""
        if self.count == 1:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        start = 0
        for tensor in tensors:
            tensor.copy_(flat[start : start + tensor.numel()].view_as(tensor))
            start += tensor.numel()

    def wait(self) -> None:
        """Returns when all workers have come here."""
        if self.count > 1:
            dist.barrier()


@contextmanager
def joined_workers() -> Iterator[Workers]:
    """Joins the other workers, if the environment names any, for the time of the block.

    Raises:
        TrainingError: The others do not come, or one of them is lost on the way.
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
            timeout=_RENDEZVOUS,
        )
        dist.init_process_group(
            "nccl" if cuda else "gloo", store=store, rank=rank, world_size=count, timeout=_PATIENCE
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
                "see the other workers' logs, then run again; training goes on from the last "
                "checkpoint."
            ) from error
        raise
    finally:
        dist.destroy_process_group()


def _hosts_store(rank: int) -> bool:
    # torchrun's agent already listens at the address that it gives its workers.
    return rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:200] if lines else type(error).__name__
