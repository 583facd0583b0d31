"""FSDP2: shards the frozen weights over the workers, so each holds only its part in memory.

accelerate wraps each decoder layer, whose weights are gathered for its computation. The adapter is
small and is replicated, so gradients, optimizer, checkpoints and outputs are the same as without
sharding. Gathering is a collective operation: all workers must compute the same number of packs,
see `even_packs`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from typing import Any

from doctune.training.batches import cut_into_packs
from doctune.training.examples import Example
from doctune.training.workers import Workers
from doctune.vertex_environment import rendezvous

logger = logging.getLogger("doctune.training")


def shard_frozen_weights(model: Any, device: str) -> None:
    """Shards the frozen weights of a network with an adapter over the workers."""
    from accelerate import Accelerator
    from accelerate.utils import FullyShardedDataParallelPlugin, fsdp2_prepare_model

    # accelerate reads these variables; with CLUSTER_SPEC they are not set yet.
    for name, value in {**rendezvous(os.environ), "LOCAL_RANK": "0"}.items():
        os.environ.setdefault(name, value)
    accelerator = Accelerator(cpu=device == "cpu")
    layers = set(model.get_base_model()._no_split_modules or ())
    accelerator.state.fsdp_plugin = FullyShardedDataParallelPlugin(
        fsdp_version=2,
        reshard_after_forward=True,
        auto_wrap_policy="transformer_based_wrap",
        transformer_cls_names_to_wrap=sorted(layers),
        ignored_modules=[
            module
            for module in model.modules()
            if any(weight.requires_grad for weight in module.parameters(recurse=False))
        ],
        cpu_ram_efficient_loading=False,
    )
    fsdp2_prepare_model(accelerator, model)
    weights = [weight for weight in model.parameters() if not weight.requires_grad]
    kept = sum(weight.to_local().numel() for weight in weights)
    share = kept / sum(weight.numel() for weight in weights)
    logger.info("FSDP2: this worker keeps %.0f%% of the frozen weights", 100 * share)


def even_packs(
    examples: Sequence[Example], workers: Workers, pack_tokens: int
) -> Iterator[tuple[list[Example], bool]]:
    """Yields this worker's packs, filled up to the largest number that any worker has.

    Yields:
        A pack and whether it counts: a filler is computed, and its loss discarded.
    """
    shares = [examples[rank :: workers.count] for rank in range(workers.count)]
    counts = [len(cut_into_packs(share, pack_tokens)) for share in shares]
    for pack in cut_into_packs(workers.shard(examples), pack_tokens):
        yield pack, True
    shortest = min(examples, key=lambda example: len(example.input_ids))
    for _ in range(max(counts) - counts[workers.rank]):
        yield [shortest], False
