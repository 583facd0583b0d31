"""Facts about the model that answers, read from its tokenizer's files if these are available.

An endpoint does not describe its model. `AgentOptions.tokenizer` names a folder with the model's
`tokenizer.json`, which then counts the tokens. `config.json` in the same folder has the context
length, and the chat template shows whether the model can call tools.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from doctune.dataset.tokens import TokenCounter
from doctune.inference.chat_template import takes_tools

_CHARACTERS_PER_TOKEN = 3


def estimate(text: str) -> int:
    """Estimates the number of tokens of a text, on the high side."""
    return -(-len(text) // _CHARACTERS_PER_TOKEN)


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """Facts about a model.

    Attributes:
        count: Counts the tokens of a text.
        context_tokens: Its context length; None if unknown.
        calls_tools: Whether its chat template supports tools.
    """

    count: Callable[[str], int] = estimate
    context_tokens: int | None = None
    calls_tools: bool = False


UNKNOWN = ModelFacts()


def read_model_facts(tokenizer: str) -> ModelFacts:
    """Reads the facts from the files next to a tokenizer.

    Args:
        tokenizer: A folder with `tokenizer.json`, or that file; "" if there is none.

    Raises:
        DatasetError: The path holds no tokenizer.
    """
    if not tokenizer:
        return UNKNOWN
    path = Path(tokenizer).expanduser()
    counter = TokenCounter(path)
    folder = path if path.is_dir() else path.parent
    return ModelFacts(counter.count, _context(folder), _calls_tools(folder))


def _context(folder: Path) -> int | None:
    config = _json(folder / "config.json")
    found = config.get("max_position_embeddings")
    if found is None and isinstance(config.get("text_config"), dict):
        found = config["text_config"].get("max_position_embeddings")
    return found if isinstance(found, int) and found > 0 else None


def _calls_tools(folder: Path) -> bool:
    return any(map(takes_tools, _templates(folder)))


def _templates(folder: Path) -> list[str]:
    """Returns the chat templates of a tokenizer, in any of the formats of transformers."""
    found: list[str] = []
    file = folder / "chat_template.jinja"
    if file.is_file():
        found.append(file.read_text(encoding="utf-8"))
    kept = _json(folder / "tokenizer_config.json").get("chat_template")
    if isinstance(kept, str):
        found.append(kept)
    elif isinstance(kept, list):  # several, by name: "default", "tool_use"
        found += [str(one.get("template", "")) for one in kept if isinstance(one, dict)]
    return found


def _json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
