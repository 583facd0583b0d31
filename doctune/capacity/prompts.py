"""Reads the prompts of a load from a file of questions in JSON Lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from doctune.capacity.client import Message
from doctune.errors import UsageError
from doctune.files import text_lines

_MOST = 2000


def read_prompts(path: Path) -> list[list[Message]]:
    """Returns the conversations of a file, without their final answers.

    A line is a row of a test set (`messages`), or an object with `question` or `prompt`.

    Raises:
        UsageError: The file is missing, or a line is none of these.
    """
    try:
        prompts = [_prompt(json.loads(line), path, number) for number, line in text_lines(path)]
    except FileNotFoundError as error:
        raise UsageError(f"{path} is missing: give a JSONL file of questions.") from error
    except (ValueError, OSError) as error:
        raise UsageError(f"{path} is no JSONL file: {error}.") from error
    if not prompts:
        raise UsageError(f"{path} holds no questions.")
    return prompts[:_MOST]


def questions(messages: list[Any]) -> list[Message]:
    """Returns a conversation up to the user's last question; [] if there is none."""
    turns = [
        {"role": str(turn["role"]), "content": str(turn["content"])}
        for turn in messages
        if isinstance(turn, dict) and {"role", "content"} <= set(turn)
    ]
    while turns and turns[-1]["role"] != "user":
        turns.pop()
    return turns


def _prompt(row: Any, path: Path, number: int) -> list[Message]:
    if isinstance(row, dict):
        if isinstance(row.get("messages"), list) and (turns := questions(row["messages"])):
            return turns
        for name in ("question", "prompt"):
            if isinstance(row.get(name), str) and row[name].strip():
                return [{"role": "user", "content": row[name]}]
    raise UsageError(f"{path}, line {number} has no messages, question or prompt.")
