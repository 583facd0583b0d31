"""The Parquet output of parsing: one row per block, one row per file.

Until the run is complete, each parsed document is stored in its own file. So an interrupted run can
resume, and only one document is in memory at a time.
"""

import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from doctune.documents.errors import PdfError
from doctune.documents.files import readable
from doctune.documents.model import Document
from doctune.documents.parts import WaitingParts
from doctune.errors import CorpusError
from doctune.files import atomic_path, write_json

BLOCKS_FILE = "blocks.parquet"
DOCUMENTS_FILE = "documents.parquet"
_FINISHED_FOLDER = ".finished"
_METADATA_KEY = b"doctune"
_GROUP_ROWS = 10_000

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
        ("spans", pa.list_(pa.list_(pa.int32()))),
        ("header_rows", pa.int32()),
        ("engine", pa.string()),
        ("confidence", pa.float32()),
        ("language", pa.string()),
        ("caption", pa.string()),
        ("links", pa.list_(pa.string())),
        ("latex", pa.string()),
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
        ("kinds", pa.string()),
        ("sketch", pa.list_(pa.uint64())),
        ("text_chars", pa.int64()),
        ("lost_chars", pa.int64()),
        ("hidden_chars", pa.int64()),
        ("date", pa.string()),
        ("groups", pa.list_(pa.string())),
        ("labels", pa.string()),  # digest of what sidecars say
    ]
)


class FinishedDocuments:
    """The parsed documents of a run, each in a file named by digest of content and settings."""

    def __init__(self, out_dir: Path, settings_digest: str) -> None:
        self._folder = out_dir / _FINISHED_FOLDER
        self._settings = settings_digest[:16]
        self.parts = WaitingParts(self._folder / "parts")
        self._folder.mkdir(parents=True, exist_ok=True)

    def path(self, doc_id: str) -> Path:
        return self._folder / f"{doc_id}-{self._settings}.parquet"

    def write(self, row: dict[str, Any], document: Document) -> None:
        """Stores a document and its row."""
        metadata = {_METADATA_KEY: json.dumps(row).encode()}
        schema = BLOCK_SCHEMA.with_metadata(metadata)
        rows = block_rows(row["doc_id"], row["source"], document)
        with (
            atomic_path(self.path(row["doc_id"])) as temporary,
            pq.ParquetWriter(temporary, schema) as writer,
        ):
            while group := list(islice(rows, _GROUP_ROWS)):
                writer.write_table(pa.Table.from_pylist(group, schema))

    def read_row(self, doc_id: str) -> dict[str, Any] | None:
        """Returns the stored row of a document; None if there is none."""
        try:
            metadata = pq.read_schema(self.path(doc_id)).metadata
            return json.loads(metadata[_METADATA_KEY])
        except (OSError, pa.ArrowInvalid, KeyError, TypeError, ValueError):
            return None

    def write_error(self, doc_id: str, error: PdfError) -> None:
        """Stores the error of a rejected document."""
        write_json(
            self._error_path(doc_id), {"reason": error.reason, "message": readable(str(error))}
        )

    def read_error(self, doc_id: str) -> PdfError | None:
        """Returns the stored error of a document; None if there is none."""
        try:
            kept = json.loads(self._error_path(doc_id).read_bytes())
        except (OSError, ValueError):
            return None
        return PdfError(kept["reason"], kept["message"])

    def _error_path(self, doc_id: str) -> Path:
        return self.path(doc_id).with_suffix(".json")

    def remove(self) -> None:
        """Deletes the stored documents, at the end of the run."""
        shutil.rmtree(self._folder, ignore_errors=True)


def block_rows(doc_id: str, source: str, document: Document) -> Iterator[dict[str, Any]]:
    """Yields the rows of a document's blocks; blocks are numbered over the whole document."""
    return (
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
            "spans": block.spans or None,
            "header_rows": block.header_rows or None,
            "engine": block.engine,
            "confidence": block.confidence,
            "language": block.language or document.language,
            "caption": block.caption or None,
            "links": block.links or None,
            "latex": block.latex or None,
        }
        for number, block in enumerate(document.blocks)
    )


def write_blocks(path: Path, parts: Iterable[tuple[Path, str]]) -> None:
    """Writes the blocks of all documents atomically, in row groups per document.

    Args:
        parts: The file of each document, and its name in this run.
    """
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, BLOCK_SCHEMA) as writer:
        for part, source in parts:
            with pq.ParquetFile(part) as file:
                for number in range(file.num_row_groups):
                    table = file.read_row_group(number).replace_schema_metadata(None)
                    column = pa.array([source] * table.num_rows, pa.string())
                    writer.write_table(table.set_column(1, "source", column).cast(BLOCK_SCHEMA))


def join_blocks(paths: Sequence[Path], out_path: Path) -> None:
    """Concatenates the blocks of several files, row group by row group."""
    groups = []
    for path in paths:
        file = pq.ParquetFile(path)
        for group in range(file.num_row_groups):
            source = file.read_row_group(group, columns=["source"])[0][0].as_py()
            groups.append((PurePosixPath(source), file, group))
    groups.sort(key=lambda found: found[0])
    with atomic_path(out_path) as temporary, pq.ParquetWriter(temporary, BLOCK_SCHEMA) as writer:
        for _, file, group in groups:
            writer.write_table(file.read_row_group(group).cast(BLOCK_SCHEMA))


def write_documents(path: Path, rows: list[dict[str, Any]]) -> None:
    """Writes the rows of all files atomically."""
    with atomic_path(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, DOCUMENT_SCHEMA), temporary)


def read_documents(folder: Path) -> list[dict[str, Any]]:
    """Reads the rows of all files that `parse_corpus` wrote to a folder.

    Raises:
        CorpusError: There is none.
    """
    path = folder / DOCUMENTS_FILE
    try:
        return pq.read_table(path).to_pylist()
    except (OSError, pa.ArrowInvalid) as error:
        raise CorpusError(f"{path} cannot be read: {error}. Run parse_pdfs again.") from error


def read_blocks(path: Path, doc_id: str) -> list[dict[str, Any]]:
    """Returns the rows of the blocks of a document."""
    return pq.read_table(path, filters=[("doc_id", "=", doc_id)]).to_pylist()
