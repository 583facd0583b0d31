"""Parses PDFs into documents of pages, blocks and tables, and folders of PDFs into Parquet."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from doctune.documents.corpus import parse_corpus
    from doctune.documents.errors import PdfError
    from doctune.documents.files import corpus_digest, list_pdfs
    from doctune.documents.model import Block, Document, Page
    from doctune.documents.options import ParseOptions
    from doctune.documents.parser import parse_pdf
    from doctune.documents.paths import parse_paths
    from doctune.documents.shards import Shard, join_shards, plan_shards, read_shard, write_plan
    from doctune.documents.summary import CorpusSummary, Reject

# Loaded on first use, so that importing the options or the command line stays fast.
_HOMES = {
    "Block": "model",
    "CorpusSummary": "summary",
    "Document": "model",
    "Page": "model",
    "ParseOptions": "options",
    "PdfError": "errors",
    "Reject": "summary",
    "Shard": "shards",
    "corpus_digest": "files",
    "join_shards": "shards",
    "list_pdfs": "files",
    "parse_corpus": "corpus",
    "parse_paths": "paths",
    "parse_pdf": "parser",
    "plan_shards": "shards",
    "read_shard": "shards",
    "write_plan": "shards",
}

__all__ = [
    "Block",
    "CorpusSummary",
    "Document",
    "Page",
    "ParseOptions",
    "PdfError",
    "Reject",
    "Shard",
    "corpus_digest",
    "join_shards",
    "list_pdfs",
    "parse_corpus",
    "parse_paths",
    "parse_pdf",
    "plan_shards",
    "read_shard",
    "write_plan",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"doctune.documents.{_HOMES[name]}"), name)
