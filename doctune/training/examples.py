"""Tokenises chat examples, and marks the tokens that count in the loss.

The tokenizer's own chat template renders a conversation; the loss counts the assistant's turns
only, each including its end-of-turn token. The turns are found by rendering the conversation up to
each of them, so any template works that only appends. Many texts are tokenised in one call, which
the tokenizer spreads over the cores.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy.typing as npt

from doctune.errors import DatasetError, ModelError
from doctune.files import text_lines
from doctune.inference.chat_template import knows_system_role, without_system_role

Message = dict[str, str]

# For tokenizers without a chat template, such as GPT-2's; saved with the model.
PLAIN_CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] | capitalize + ': ' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{{ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant: ' }}{% endif %}"
)


@dataclass(frozen=True, slots=True)
class Example:
    """One conversation as tokens; `taught[i]` says whether token i counts in the loss."""

    input_ids: list[int]
    taught: list[bool]

    @property
    def labels(self) -> int:
        """The number of tokens that count in the loss; the first token is never predicted."""
        return sum(self.taught[1:])


@dataclass(frozen=True, kw_only=True)
class TokenizedExamples:
    """A tokenised data set, with counts of what `max_length` cut or dropped."""

    examples: Sequence[Example]
    answers_cut: int  # examples with an answer shortened by `max_length`
    dropped: int  # examples with no answer token left within `max_length`

    @property
    def tokens(self) -> int:
        """Tokens in all examples."""
        if isinstance(self.examples, TokenTable):
            return self.examples.tokens
        return sum(len(example.input_ids) for example in self.examples)


class TokenTable(Sequence[Example]):
    """Memory-mapped examples, each built on access, so memory does not grow with their number.

    Args:
        input_ids: The concatenated tokens of all examples.
        taught: Whether each counts in the loss.
        ends: The end offset of each example.
    """

    def __init__(
        self, input_ids: npt.NDArray[Any], taught: npt.NDArray[Any], ends: npt.NDArray[Any]
    ) -> None:
        self._input_ids, self._taught, self._ends = input_ids, taught, ends

    @property
    def tokens(self) -> int:
        """Tokens in all examples."""
        return len(self._input_ids)

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> Example: ...

    @overload
    def __getitem__(self, index: slice) -> list[Example]: ...

    def __getitem__(self, index: int | slice) -> Example | list[Example]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        start, end = int(self._ends[place - 1]) if place else 0, int(self._ends[place])
        taught = self._taught[start:end].astype(bool)
        return Example(self._input_ids[start:end].tolist(), taught.tolist())


def read_conversations(path: Path) -> Iterator[list[Message]]:
    """Reads the `messages` of a JSONL file, line by line.

    Raises:
        DatasetError: The file is missing, empty or malformed; the message names the line.
    """
    empty = True
    try:
        for number, line in text_lines(path):
            yield _conversation(line, f"{path}, line {number}")
            empty = False
    except FileNotFoundError:
        raise DatasetError(f"{path} is missing: prepare the data set first.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} cannot be read as text: {error}.") from error
    if empty:
        raise DatasetError(f"{path} holds no examples: prepare a larger data set.")


def read_passages(path: Path) -> Iterator[str]:
    """Yields the distinct `passage` texts of a JSONL file, in order of appearance.

    Raises:
        DatasetError: The file cannot be read, or no row has a passage.
    """
    for _ in read_conversations(path):
        pass  # says what is wrong with the file, where something is
    seen = set[bytes]()
    for _, line in text_lines(path):
        passage = str(json.loads(line).get("passage") or "").strip()
        key = hashlib.sha256(passage.encode("utf-8", "surrogatepass")).digest()[:16]
        if passage and key not in seen:
            seen.add(key)
            yield passage
    if not seen:
        raise DatasetError(
            f"{path} has no `passage` to pretrain on: set training.pretraining_epochs to 0."
        )


def _conversation(line: str, place: str) -> list[Message]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise DatasetError(f"{place}: not JSON ({error.msg}).") from error
    messages = row.get("messages") if isinstance(row, dict) else None
    if not isinstance(messages, list) or not messages:
        raise DatasetError(f"{place}: no list of `messages`.")
    for message in messages:
        if not (
            isinstance(message, dict)
            and message.get("role") in ("system", "user", "assistant")
            and isinstance(message.get("content"), str)
        ):
            raise DatasetError(
                f"{place}: each message needs a role (system, user, assistant) and a text content."
            )
    if not any(m["role"] == "assistant" and m["content"].strip() for m in messages):
        raise DatasetError(f"{place}: no assistant message to learn from.")
    return [{"role": m["role"], "content": m["content"]} for m in messages]


def tokenize_conversations(
    conversations: Sequence[Sequence[Message]], tokenizer: Any, max_length: int
) -> TokenizedExamples:
    """Renders, tokenises and truncates conversations.

    Args:
        tokenizer: A transformers tokenizer with a chat template.
        max_length: Most tokens in an example; longer ones are truncated and counted.

    Raises:
        DatasetError: The chat template refuses a conversation.
        ModelError: The tokenizer gives no character offsets of its tokens.
    """
    if not tokenizer.is_fast:
        raise ModelError("The base model's tokenizer has no tokenizer.json: add one to its folder.")
    if any(messages[0]["role"] == "system" for messages in conversations) and not (
        knows_system_role(tokenizer)
    ):
        conversations = [without_system_role(messages) for messages in conversations]
    rendered = [_render(messages, tokenizer) for messages in conversations]
    encoded = tokenizer(
        [text for text, _ in rendered], add_special_tokens=False, return_offsets_mapping=True
    )
    special = set(tokenizer.all_special_ids)
    examples, cut, dropped = [], 0, 0
    for (_, turns), ids, offsets in zip(
        rendered, encoded["input_ids"], encoded["offset_mapping"], strict=True
    ):
        taught = _taught(turns, ids, offsets, special)
        example = Example(ids[:max_length], taught[:max_length])
        cut += any(taught[max_length:]) and example.labels > 0
        dropped += example.labels == 0
        if example.labels:
            examples.append(example)
    return TokenizedExamples(examples=examples, answers_cut=cut, dropped=dropped)


def tokenize_passages(
    passages: Sequence[str], tokenizer: Any, max_length: int
) -> TokenizedExamples:
    """Tokenises raw texts, where every token counts in the loss; splits long ones."""
    end = [tokenizer.eos_token_id] if tokenizer.eos_token_id is not None else []
    examples = []
    for ids in tokenizer(list(passages), add_special_tokens=False)["input_ids"]:
        whole = [*ids, *end]
        for start in range(0, len(whole), max_length):
            piece = whole[start : start + max_length]
            if len(piece) > 1:
                examples.append(Example(piece, [True] * len(piece)))
    return TokenizedExamples(examples=examples, answers_cut=0, dropped=0)


def _render(messages: Sequence[Message], tokenizer: Any) -> tuple[str, list[tuple[int, int]]]:
    """Returns a conversation's text, and the (start, end) of each assistant turn in it."""

    def template(count: int, prompt: bool) -> str:
        return str(
            tokenizer.apply_chat_template(
                list(messages[:count]), tokenize=False, add_generation_prompt=prompt
            )
        )

    from jinja2 import TemplateError

    try:
        text = template(len(messages), False)
        turns = []
        for index, message in enumerate(messages):
            if message["role"] != "assistant":
                continue
            start, end = template(index, True), template(index + 1, False)
            if not (text.startswith(start) and text.startswith(end)):
                raise ModelError(
                    "The base model's chat template rewrites earlier turns, so the answers cannot "
                    "be located: use examples with one assistant turn, or another model."
                )
            turns.append((len(start), len(end)))
    except TemplateError as error:
        raise DatasetError(
            f"The base model's chat template refuses a conversation with the roles "
            f"{', '.join(message['role'] for message in messages)}: {error}."
        ) from error
    return text, turns


def _taught(
    turns: list[tuple[int, int]],
    ids: list[int],
    offsets: list[tuple[int, int]],
    special: set[int],
) -> list[bool]:
    taught = [False] * len(ids)
    for start, end in turns:
        inside = [i for i, (left, right) in enumerate(offsets) if start <= left < right <= end]
        # What the template adds after the end-of-turn token (a line break) is not the answer.
        while inside and ids[inside[-1]] not in special and any(ids[i] in special for i in inside):
            inside.pop()
        for i in inside:
            taught[i] = True
    return taught
