"""The Parquet that reading leaves: one row a block, one row a file."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from doctune.documents.model import Document
from doctune.files import atomic_path

BLOCKS_FILE = "blocks.parquet"
DOCUMENTS_FILE = "documents.parquet"

BLOCK_SCHEMA = pa.schema(
    [
        ("doc_id", pa.string()),
        ("source", pa.string()),
        ("page", pa.int32()),
        ("block", pa.int32()),
        ("kind", pa.string()),
        ("level", pa.int32()),
        ("text", pa.string()),
        ("bbox", pa.list_(pa.float32())),
        ("rows", pa.list_(pa.list_(pa.string()))),
        ("engine", pa.string()),
    ]
)
DOCUMENT_SCHEMA = pa.schema(
    [
        ("doc_id", pa.string()),
        ("source", pa.string()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("error", pa.string()),
        ("pages", pa.int32()),
        ("chars", pa.int64()),
        ("title", pa.string()),
        ("language", pa.string()),
        ("duplicate_of", pa.string()),
        ("seconds", pa.float64()),
        ("warnings", pa.list_(pa.string())),
    ]
)


def block_rows(doc_id: str, source: str, document: Document, engine: str) -> list[dict[str, Any]]:
    """Returns the rows of a document's blocks; blocks are numbered over the whole document."""
    return [
        {
            "doc_id": doc_id,
            "source": source,
            "page": block.page,
            "block": number,
            "kind": block.kind,
            "level": block.level,
            "text": block.text,
            "bbox": block.bbox,
            "rows": block.rows,
            "engine": engine,
        }
        for number, block in enumerate(document.blocks)
    ]


def write_blocks(path: Path, groups: Iterable[list[dict[str, Any]]]) -> None:
    """Writes rows of blocks, a row group for each document, whole or not at all."""
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, BLOCK_SCHEMA) as writer:
        for rows in groups:
            if rows:
                writer.write_table(pa.Table.from_pylist(rows, BLOCK_SCHEMA))


def write_documents(path: Path, rows: list[dict[str, Any]]) -> None:
    """Writes the row of each file, whole or not at all."""
    with atomic_path(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, DOCUMENT_SCHEMA), temporary)
