"""System messages for chat templates without a system role, such as Gemma's."""

from collections.abc import Sequence
from typing import Any

Message = dict[str, str]

_PROBE = "system-role-probe"


def knows_system_role(tokenizer: Any) -> bool:
    """Returns whether a tokenizer's chat template renders a system message."""
    from jinja2 import TemplateError

    probe = [{"role": "system", "content": _PROBE}, {"role": "user", "content": "?"}]
    try:
        return _PROBE in tokenizer.apply_chat_template(probe, tokenize=False)
    except (TemplateError, ValueError):
        return False


def without_system_role(messages: Sequence[Message]) -> list[Message]:
    """Returns a conversation with its leading system messages in front of the first user turn.

    Training, evaluation and serving do the same, so that a model is asked as it was taught.
    """
    leading: list[str] = []
    rest = list(messages)
    while rest and rest[0]["role"] == "system":
        leading.append(rest.pop(0)["content"])
    if not leading or not rest or rest[0]["role"] != "user":
        return list(messages)
    first = {**rest[0], "content": "\n\n".join([*leading, rest[0]["content"]])}
    return [first, *rest[1:]]
