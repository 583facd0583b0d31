"""Detects texts that instruct the model instead of answering; these never become training data."""

from __future__ import annotations

import re

_ORDERS = re.compile(
    r"\b(ignore|disregard|forget|override)\b.{0,40}\b(previous|prior|earlier|above|all|any|your)\b"
    r".{0,40}\b(instruction|prompt|rule|message|guideline)s?"
    r"|\b(you are now|act as|pretend (to be|you are)|from now on,? (you|answer|always|never))\b"
    r"|\b(system prompt|developer message|jailbreak|DAN mode)\b"
    r"|\b(always|never) (answer|reply|respond|say|mention|refuse)\b"
    r"|<\|?(im_start|im_end|system|assistant|endoftext)\|?>|\[/?INST\]|<</?SYS>>"
    r"|^\s*(system|assistant)\s*:",
    re.IGNORECASE | re.DOTALL | re.MULTILINE,
)


def gives_orders(text: str) -> bool:
    """Returns whether a text tells the model how to behave, or plays another role's turn."""
    return bool(_ORDERS.search(text))
