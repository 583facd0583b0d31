"""Conversations as token ids and back: the tokenizer with its chat template.

Templates without a system role, such as Gemma's, get a system message within the first user turn.
"""

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


class ChatTokenizer:
    """A tokenizer that reads conversations and writes answers. It is not safe in two threads."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self._knows_system_role: bool | None = None

    def encode(self, messages: Sequence[Message]) -> list[int]:
        """Returns the prompt's token ids, by the chat template, ready for the answer to follow."""
        encoded = self.tokenizer.apply_chat_template(
            self.fitted(messages), add_generation_prompt=True, tokenize=True, return_dict=True
        )
        return list(encoded["input_ids"])

    def fitted(self, messages: Sequence[Message]) -> list[Message]:
        """Returns a conversation as the chat template can take it: see `without_system_role`."""
        if messages[0]["role"] != "system":
            return list(messages)
        if self._knows_system_role is None:
            self._knows_system_role = knows_system_role(self.tokenizer)
        return list(messages) if self._knows_system_role else without_system_role(messages)

    def decode(self, tokens: Sequence[int]) -> str:
        """Returns the text of tokens, without those that only mark turns."""
        return str(self.tokenizer.decode(tokens, skip_special_tokens=True))

    def end_tokens(self, configured: int | list[int] | None) -> frozenset[int]:
        """Returns the ids of the tokens that end a turn.

        Args:
            configured: `eos_token_id` of the model's generation settings.
        """
        ids = configured if isinstance(configured, list) else [configured]
        return frozenset(
            token for token in [*ids, self.tokenizer.eos_token_id] if token is not None
        )
