"""Which examples are learnt from together, step after step.

A batch is a fixed number of examples, drawn without replacement in an order that follows from seed,
phase and epoch alone: any step's batch can be named without those before it, so a run that was
stopped goes on where it was. A batch is computed in packs of bounded length, which bounds memory;
how it is cut changes nothing, since the loss is averaged over the whole batch's taught tokens.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

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
        self._batch_size, self._seed = batch_size, seed
        self._steps = [
            max(1, math.ceil(self._epoch_steps(phase) * phase.epochs)) for phase in self._phases
        ]
        self.uncapped_steps = sum(self._steps)
        self.steps = min(self.uncapped_steps, max_steps or self.uncapped_steps)
        # Of the last phase, which is the one that is validated.
        self.steps_per_epoch = self._epoch_steps(self._phases[-1])

    def batch(self, step: int) -> list[Example]:
        """Returns the examples of a step, counted from 0."""
        index = 0
        while index < len(self._phases) - 1 and step >= self._steps[index]:
            step -= self._steps[index]
            index += 1
        phase = self._phases[index]
        epoch, position = divmod(step, self._epoch_steps(phase))
        order = _order(len(phase.examples), self._seed, index, epoch)
        chosen = order[position * self._batch_size : (position + 1) * self._batch_size]
        return [phase.examples[example] for example in chosen]

    def _epoch_steps(self, phase: Phase) -> int:
        return math.ceil(len(phase.examples) / self._batch_size)


@lru_cache(maxsize=2)
def _order(count: int, seed: int, phase: int, epoch: int) -> list[int]:
    return np.random.default_rng([seed, phase, epoch]).permutation(count).tolist()


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
