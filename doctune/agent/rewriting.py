"""Rewrites follow-up questions with the model, where the rules of `followups` change nothing.

Small models invent more than they resolve, so this is off unless `AgentOptions.follow_ups` is
"model". A rewritten question may only use names and numbers of the conversation; otherwise the
user's own words are used.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from doctune.agent.citing import without_marks
from doctune.agent.followups import Turn
from doctune.agent.messages import Message
from doctune.agent.orders import gives_orders
from doctune.agent.stages import Stages
from doctune.agent.support import unsupported
from doctune.knowledge.lexical import tokens

REWRITING_SECONDS = 5.0
_MOST_TOKENS = 64
_MOST_WORDS = 60
_TURNS = 3  # the last ones, which the model is shown
_TASK = (
    "Rewrite the last question so that it can be understood without the conversation. Reply with "
    "the question only."
)

logger = logging.getLogger("doctune.agent")


async def rewritten(question: str, earlier: Sequence[Turn], stages: Stages) -> str:
    """Returns the model's self-contained form of a question; the question itself if unusable."""
    said = "\n".join(
        f"User: {one.question}\nAssistant: {without_marks(one.answer)}" for one in earlier[-_TURNS:]
    )
    asked = f"{_TASK}\n\n{said}\nUser: {question}"
    text = await stages.ask_briefly([Message("user", asked)], _MOST_TOKENS, REWRITING_SECONDS)
    line = " ".join((text or "").split()).removeprefix("User:").strip()
    if line and _is_usable(line, question, said):
        return line
    logger.info("The model did not rewrite a question: it is used as it was asked")
    return question


def _is_usable(line: str, question: str, said: str) -> bool:
    # A question about something else shares no word with what was asked.
    return (
        line.endswith("?")
        and len(line.split()) <= _MOST_WORDS
        and not gives_orders(line)
        and bool(set(tokens(line)) & set(tokens(question)) or not tokens(question))
        and not unsupported(line, "", [f"{said}\n{question}"])
    )
