"""The knowledge index: built from documents, searched, and quoted in answers with their page.

`build_index` turns parsed documents into one folder; `KnowledgeIndex` searches it; `Answerer`
answers from it, or says that the documents do not. The names are loaded when they are first used,
so that importing the options stays cheap.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from doctune.knowledge.options import KnowledgeOptions

if TYPE_CHECKING:
    from doctune.knowledge.answering import Answer, Answerer, Source
    from doctune.knowledge.build import IndexSummary, build_index
    from doctune.knowledge.datapoints import datapoint_lines
    from doctune.knowledge.index import FoundPassage, KnowledgeIndex
    from doctune.knowledge.prompt import REFUSAL
    from doctune.knowledge.reviewed import ReviewedSummary, add_reviewed_answers
    from doctune.knowledge.tuning import TuningSummary, tune_retriever

_MODULES = {
    "REFUSAL": "prompt",
    "Answer": "answering",
    "Answerer": "answering",
    "FoundPassage": "index",
    "IndexSummary": "build",
    "KnowledgeIndex": "index",
    "ReviewedSummary": "reviewed",
    "Source": "answering",
    "add_reviewed_answers": "reviewed",
    "build_index": "build",
    "datapoint_lines": "datapoints",
    "TuningSummary": "tuning",
    "tune_retriever": "tuning",
}

__all__ = [
    "REFUSAL",
    "Answer",
    "Answerer",
    "FoundPassage",
    "IndexSummary",
    "KnowledgeIndex",
    "KnowledgeOptions",
    "ReviewedSummary",
    "Source",
    "TuningSummary",
    "add_reviewed_answers",
    "build_index",
    "datapoint_lines",
    "tune_retriever",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(f"doctune.knowledge.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
