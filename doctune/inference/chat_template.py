"""Conversations as token ids and back: the tokenizer with its chat template.

Templates without a system role, such as Gemma's, get a system message within the first user turn.
"""

from collections.abc import Mapping, Sequence
from typing import Any

Message = dict[str, Any]

_PROBE = "system-role-probe"


def knows_system_role(tokenizer: Any) -> bool:
    """Returns whether a tokenizer's chat template renders a system message."""
    from jinja2 import TemplateError

    probe = [{"role": "system", "content": _PROBE}, {"role": "user", "content": "?"}]
    try:
        return _PROBE in tokenizer.apply_chat_template(probe, tokenize=False)
    except (TemplateError, ValueError):
        return False


def takes_tools(template: str) -> bool:
    """Returns whether a chat template shows a model the tools that it may call."""
    from jinja2 import Environment, TemplateError
    from jinja2.meta import find_undeclared_variables

    try:
        # Parsed, never rendered: it is a file of a model.
        tree = Environment(extensions=["jinja2.ext.loopcontrols"], autoescape=True).parse(template)
    except TemplateError:
        return False
    return "tools" in find_undeclared_variables(tree)


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

    @property
    def takes_tools(self) -> bool:
        """Whether the chat template, or one of several, shows a model its tools."""
        templates = self.tokenizer.chat_template
        several = templates.values() if isinstance(templates, Mapping) else [templates or ""]
        return any(map(takes_tools, several))

    def encode(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()
    ) -> list[int]:
        """Returns the prompt's token ids, by the chat template, ready for the answer to follow.

        Args:
            tools: What the model may call, in OpenAI's form.
        """
        encoded = self.tokenizer.apply_chat_template(
            self.fitted(messages),
            tools=list(tools) or None,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
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
