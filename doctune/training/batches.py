"""Which examples are learnt from together, step after step.

A batch is a fixed number of examples, drawn without replacement in an order that depends on seed
and epoch alone. It is computed in packs of at most so many tokens, which bounds memory; how a batch
is cut into packs changes nothing, since the loss is averaged over the whole batch's taught tokens.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from doctune.training.examples import Example

# Memory grows with this: about 1.5 GB of activations for 1,024 tokens of a 135M model in float32.
PACK_TOKENS = 1024


def epoch_batches(
    examples: Sequence[Example], batch_size: int, seed: int, epoch: int
) -> Iterator[list[Example]]:
    """Yields each example once, in batches; the last may be smaller."""
    order = np.random.default_rng([seed, epoch]).permutation(len(examples))
    for start in range(0, len(order), batch_size):
        yield [examples[index] for index in order[start : start + batch_size]]


def cut_into_packs(batch: Sequence[Example], pack_tokens: int = PACK_TOKENS) -> list[list[Example]]:
    """Groups examples into packs of at most `pack_tokens`; a longer example stands alone."""
    packs: list[list[Example]] = []
    room = 0
    for example in sorted(batch, key=lambda example: -len(example.input_ids)):
        if not packs or len(example.input_ids) > room:
            packs.append([])
            room = pack_tokens
        packs[-1].append(example)
        room -= len(example.input_ids)
    return packs
