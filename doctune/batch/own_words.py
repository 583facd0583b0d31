"""Answers in the model's own words, for products that the evaluation chose to answer so."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from doctune.evaluation.grounding import IndexKnowledge
from doctune.evaluation.product import Answering, Offered, speaks_itself
from doctune.evaluation.quiz import Passage, cited_passages, grounded_messages, without_marks
from doctune.evaluation.quiz_scores import is_supported
from doctune.knowledge import Answer, Source
from doctune.knowledge.prompt import REFUSAL, SHOWN


def answer_with_model(
    way: Answering,
    knowledge: IndexKnowledge,
    quoted: Sequence[Answer],
    ask_model: Callable[[list[str]], list[str]],
) -> list[Answer]:
    """Returns the answers of the way `model` or `hybrid`.

    Args:
        way: `model` or `hybrid`.
        knowledge: The index that was quoted from.
        quoted: The answers by quotation.
        ask_model: Returns the model's answers to prompts.
    """
    found = [knowledge.find(one.question, SHOWN) for one in quoted]
    prompts = [
        grounded_messages(one.question, shown)[-1]["content"]
        for one, shown in zip(quoted, found, strict=True)
    ]
    said = ask_model(prompts)
    return [_choose(way, *row) for row in zip(quoted, found, said, strict=True)]


def _choose(way: Answering, quoted: Answer, shown: tuple[Passage, ...], said: str) -> Answer:
    words = without_marks(said)
    offered = Offered(quoted=quoted.answer, words=words)
    if not speaks_itself(way, offered, lambda text: is_supported(text, quoted.question, shown)):
        return quoted
    if words.strip() == REFUSAL:
        return Answer(quoted.question, REFUSAL, (), quoted.confidence)
    places = dict.fromkeys((*cited_passages(said, shown), *shown))
    sources = tuple(Source(one.file, one.pages[0], one.text) for one in places if one.pages)
    return Answer(quoted.question, words, sources, quoted.confidence)
