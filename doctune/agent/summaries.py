"""Summaries of old turns, written by the model; without one, key sentences are used instead.

A summary with a number or name that occurs in none of its turns is discarded. Summaries are cached
by the turns that they cover, so each turn costs at most one request, with its own time limit.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Sequence

from doctune.agent.citing import without_marks
from doctune.agent.followups import Turn
from doctune.agent.messages import Message
from doctune.agent.orders import without_orders
from doctune.agent.stages import Stages
from doctune.agent.support import unsupported
from doctune.digests import digest_value
from doctune.evaluation.answer_accuracy import says_nothing

SUMMARY_SECONDS = 5.0  # longest wait for a summary: the answer matters more
_MOST_TOKENS = 120
_MOST_KEPT = 256
_TASK = (
    "Summarise this conversation in at most three sentences. Keep names, numbers and units as they "
    "stand, and add nothing."
)

logger = logging.getLogger("doctune.agent")


class Summaries:
    """Requests and caches summaries of conversations."""

    def __init__(self, stages: Stages) -> None:
        self._stages = stages
        self._kept: OrderedDict[str, str] = OrderedDict()

    async def of(self, turns: Sequence[Turn]) -> str:
        """Returns the model's summary of turns; "" if there is no usable one."""
        if not turns:
            return ""
        said = "\n".join(
            f"User: {one.question}\nAssistant: {without_marks(one.answer)}" for one in turns
        )
        key = digest_value(said)
        if key not in self._kept:
            asked = [Message("user", f"{_TASK}\n\n{said}")]
            text = await self._stages.ask_briefly(asked, _MOST_TOKENS, SUMMARY_SECONDS)
            if text is None:
                return ""  # not kept: it may be there next time
            while len(self._kept) >= _MOST_KEPT:
                self._kept.popitem(last=False)
            self._kept[key] = _usable(text, said)
        self._kept.move_to_end(key)
        return self._kept[key]


def _usable(text: str, said: str) -> str:
    summary = " ".join(without_orders(text)[0].split())
    if not summary or says_nothing(summary):
        return ""
    if invented := unsupported(summary, "", [said]):
        logger.info("A summary holds what was not said: %s", ", ".join(invented))
        return ""
    return summary
