"""Batches: which examples are trained on in each step.

A batch is a fixed number of examples, drawn without replacement in an order that depends only on
seed, phase and epoch. The position of a run is the number of examples it has trained on: the next
batch follows from it, so a run can be resumed, also with another number of workers and so another
batch size, and still trains on each remaining example once. A batch is computed in packs of
bounded length, which bounds memory; how it is cut does not change the result, since the loss is
averaged over the label tokens of the whole batch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from doctune.training.examples import Example


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A set of examples and the number of epochs to train on it."""

    examples: Sequence[Example]
    epochs: float


class Curriculum:
    """The batches of a run: its phases in order.

    Args:
        max_steps: Limit on the steps of the whole run; None for no limit.
    """

    def __init__(
        self, phases: Sequence[Phase], *, batch_size: int, seed: int, max_steps: int | None
    ) -> None:
        self._phases = [phase for phase in phases if phase.examples and phase.epochs]
        self.batch_size, self.max_steps, self._seed = batch_size, max_steps, seed
        self._lengths = [self._length(phase) for phase in self._phases]
        # Of the last phase, the only one with validation.
        self.steps_per_epoch = self._epoch_steps(self._phases[-1])

    def batch(self, seen: int) -> list[Example]:
        """Returns the next batch after the first `seen` examples."""
        index, seen = self._place(seen)
        phase = self._phases[index]
        epoch, position = divmod(seen, len(phase.examples))
        order = _order(len(phase.examples), self._seed, index, epoch)
        end = position + self._batch_length(index, seen)
        return [phase.examples[int(example)] for example in order[position:end]]

    def sizes(self, seen: int = 0) -> list[int]:
        """Returns the sizes of all batches after the first `seen` examples; ignores `max_steps`."""
        sizes = []
        while seen < sum(self._lengths):
            sizes.append(self._batch_length(*self._place(seen)))
            seen += sizes[-1]
        return sizes

    def _place(self, seen: int) -> tuple[int, int]:
        """Returns the index of the phase at position `seen`, and the position within it."""
        index = 0
        while index < len(self._phases) - 1 and seen >= self._lengths[index]:
            seen -= self._lengths[index]
            index += 1
        return index, seen

    def _batch_length(self, index: int, seen: int) -> int:
        left_of_epoch = len(self._phases[index].examples) - seen % len(self._phases[index].examples)
        return min(self.batch_size, left_of_epoch, self._lengths[index] - seen)

    def _length(self, phase: Phase) -> int:
        """Returns the number of examples in a phase, over all its epochs."""
        steps = max(1, math.ceil(self._epoch_steps(phase) * phase.epochs))
        epochs, rest = divmod(steps, self._epoch_steps(phase))
        return epochs * len(phase.examples) + min(rest * self.batch_size, len(phase.examples))

    def _epoch_steps(self, phase: Phase) -> int:
        return math.ceil(len(phase.examples) / self.batch_size)


@lru_cache(maxsize=2)
def _order(count: int, seed: int, phase: int, epoch: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng([seed, phase, epoch]).permutation(count)


def cut_into_packs(batch: Sequence[Example], pack_tokens: int) -> list[list[Example]]:
    """Groups examples into packs of at most `pack_tokens`; a longer example gets its own pack."""
    packs: list[list[Example]] = []
    room = 0
    for example in sorted(batch, key=lambda example: -len(example.input_ids)):
        if not packs or len(example.input_ids) > room:
            packs.append([])
            room = pack_tokens
        packs[-1].append(example)
        room -= len(example.input_ids)
    return packs
