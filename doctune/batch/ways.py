"""Ways to answer the questions of a batch: by quotation, by the model from passages, or both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from doctune.batch.run import BatchAnswer
from doctune.digests import digest_value
from doctune.errors import UsageError
from doctune.evaluation.product import Answering

if TYPE_CHECKING:
    from doctune.inference.generation import TextGenerator
    from doctune.knowledge import Answer

AskMany = Callable[[list[str]], list[str]]  # prompts to the model's answers
_BULK_ROWS = 32  # prompts that are decoded together


class FromDocuments:
    """Answers with sources from an index, in the way that the evaluation chose."""

    def __init__(
        self, index: Path, way: str, ask_model: AskMany | None = None, model: str = ""
    ) -> None:
        """
        Args:
            index: Folder of the index.
            way: quote, model or hybrid.
            ask_model: Needed by any way but `quote`.
            model: What answers, as another model gives other answers.

        Raises:
            StorageError: The folder holds no index.
            UsageError: There is no such way.
        """
        if way not in get_args(Answering) or (way != "quote" and ask_model is None):
            raise UsageError(f"way {way} is none of {', '.join(get_args(Answering))}.")
        from doctune.evaluation.grounding import IndexKnowledge
        from doctune.knowledge import Answerer

        digest = (index / "index.json").read_bytes() if (index / "index.json").is_file() else b""
        speaker = "" if way == "quote" else f" by {model}"
        self.way = f"{way}{speaker} from {digest_value(digest.decode(errors='replace'))}"
        self._way, self._ask_model = cast(Answering, way), ask_model
        self._answerer, self._knowledge = Answerer.open(index), IndexKnowledge(index)

    def __call__(self, questions: Sequence[str]) -> list[BatchAnswer]:
        """Returns an answer for each question."""
        from doctune.batch.own_words import answer_with_model

        answers = [self._answerer.answer(question) for question in questions]
        if self._way != "quote" and self._ask_model is not None:
            answers = answer_with_model(self._way, self._knowledge, answers, self._ask_model)
        return [BatchAnswer(one.answer, _sources(one)) for one in answers]


class FromModel:
    """The model's answers without the documents."""

    def __init__(self, ask_model: AskMany, name: str) -> None:
        """
        Args:
            name: What answers, as another model gives other answers.
        """
        self.way, self._ask_model = f"closed book by {name}", ask_model

    def __call__(self, questions: Sequence[str]) -> list[BatchAnswer]:
        """Returns an answer for each question."""
        return [BatchAnswer(text) for text in self._ask_model(list(questions))]


def product_of(model: str, index: str, way: str, max_new_tokens: int) -> FromDocuments | FromModel:
    """Returns what answers as a version's product does, with the model in this process.

    Args:
        model: As for `bulk_model`.
        index: Folder or gs:// URI of the index; "" for a version that answers closed-book.
        way: quote, model or hybrid; "" for `quote`.
    """
    from doctune.artifacts import local_folder

    ask_model = bulk_model(model, max_new_tokens)
    if not index:
        return FromModel(ask_model, model)
    return FromDocuments(local_folder(index), way or "quote", ask_model, model)


def bulk_model(uri: str, max_new_tokens: int) -> AskMany:
    """Returns a function that asks a model in this process, many prompts at a time.

    The model is loaded on the first call.

    Args:
        uri: A folder, or a gs:// URI, with the weights or with model/ inside.
    """
    loaded: list[TextGenerator] = []

    def ask(prompts: list[str]) -> list[str]:
        from doctune.inference.options import GenerationOptions

        if not loaded:
            loaded.append(_load(uri))
        chats: list[list[Any]] = [[{"role": "user", "content": prompt}] for prompt in prompts]
        options = GenerationOptions(max_new_tokens=max_new_tokens)
        answers = loaded[0].generate(chats, options, batch_size=_BULK_ROWS)
        return [answer.text for answer in answers]

    return ask


def _load(uri: str) -> TextGenerator:
    from doctune.artifacts import local_folder
    from doctune.inference.generation import TextGenerator

    folder = local_folder(uri)
    inside = folder / "model"
    return TextGenerator.load(inside if (inside / "config.json").is_file() else folder)


def in_requests(ask: AskMany, rows: int, at_once: int) -> AskMany:
    """Returns a function that asks with several prompts per request and concurrent requests."""

    def all_of(prompts: list[str]) -> list[str]:
        parts = [prompts[start : start + rows] for start in range(0, len(prompts), rows)]
        with ThreadPoolExecutor(at_once) as pool:
            return [answer for answers in pool.map(ask, parts) for answer in answers]

    return all_of


def _sources(answer: Answer) -> tuple[dict[str, Any], ...]:
    return tuple({"file": s.file, "page": s.page, "text": s.text} for s in answer.sources)
