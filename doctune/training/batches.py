"""Which examples are learnt from together, step after step.

A batch is a fixed number of examples, drawn without replacement in an order that follows from seed,
phase and epoch alone. A run's place is how many examples it has learnt from: the next batch can be
named without those before it, so a run that was stopped goes on where it was, and with more or
fewer workers, whose batches have another size, it learns from the rest, each once. A batch is
computed in packs of bounded length, which bounds memory; how it is cut changes nothing, since the
loss is averaged over the whole batch's taught tokens.
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
    """Examples that are gone through some number of times."""

    examples: Sequence[Example]
    epochs: float


class Curriculum:
    """The batches of a run: its phases one after the other.

    Args:
        max_steps: Most steps in all; None for no limit.
    """

    def __init__(
        self, phases: Sequence[Phase], *, batch_size: int, seed: int, max_steps: int | None
    ) -> None:
        self._phases = [phase for phase in phases if phase.examples and phase.epochs]
        self.batch_size, self.max_steps, self._seed = batch_size, max_steps, seed
        self._lengths = [self._length(phase) for phase in self._phases]
        # Of the last phase, which is the one that is validated.
        self.steps_per_epoch = self._epoch_steps(self._phases[-1])

    def batch(self, seen: int) -> list[Example]:
        """Returns the examples to learn from after the first `seen`."""
        index, seen = self._place(seen)
        phase = self._phases[index]
        epoch, position = divmod(seen, len(phase.examples))
        order = _order(len(phase.examples), self._seed, index, epoch)
        end = position + self._batch_length(index, seen)
        return [phase.examples[int(example)] for example in order[position:end]]

    def sizes(self, seen: int = 0) -> list[int]:
        """Returns how many examples each batch has after the first `seen`, whatever `max_steps`."""
        sizes = []
        while seen < sum(self._lengths):
            sizes.append(self._batch_length(*self._place(seen)))
            seen += sizes[-1]
        return sizes

    def _place(self, seen: int) -> tuple[int, int]:
        """Returns the phase that a number of examples reaches, and how many of them are its own."""
        index = 0
        while index < len(self._phases) - 1 and seen >= self._lengths[index]:
            seen -= self._lengths[index]
            index += 1
        return index, seen

    def _batch_length(self, index: int, seen: int) -> int:
        left_of_epoch = len(self._phases[index].examples) - seen % len(self._phases[index].examples)
        return min(self.batch_size, left_of_epoch, self._lengths[index] - seen)

    def _length(self, phase: Phase) -> int:
        """Returns how many examples a phase shows, each epoch's anew."""
        steps = max(1, math.ceil(self._epoch_steps(phase) * phase.epochs))
        epochs, rest = divmod(steps, self._epoch_steps(phase))
        return epochs * len(phase.examples) + min(rest * self.batch_size, len(phase.examples))

    def _epoch_steps(self, phase: Phase) -> int:
        return math.ceil(len(phase.examples) / self.batch_size)


@lru_cache(maxsize=2)
def _order(count: int, seed: int, phase: int, epoch: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng([seed, phase, epoch]).permutation(count)


def cut_into_packs(batch: Sequence[Example], pack_tokens: int) -> list[list[Example]]:
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
