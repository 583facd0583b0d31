"""The records of the data set stage, and the reader of parsed documents.

The input is the folder that `parse_pdfs` writes: `blocks.parquet` (one row per block) and
`documents.parquet` (one row per file). This module depends only on the files, not on the code that
wrote them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from doctune.dataset.text import stable_hash
from doctune.errors import DatasetError

# The parser marks running headers and footers; they must not be in examples.
FURNITURE = frozenset({"header", "footer", "watermark", "line_number"})

_BLOCK_COLUMNS = [
    *("doc_id", "source", "page", "block", "kind", "level", "text"),
    *("rows", "bbox", "header_rows", "caption"),
]
_REQUIRED_BLOCK_COLUMNS = frozenset({"doc_id", "source", "page", "block", "kind", "text"})


@dataclass(frozen=True, slots=True)
class Block:
    """One piece of a page: a heading, a paragraph, a list, a table..."""

    page: int  # 1-based
    index: int  # order within the document
    kind: str
    level: int  # of a heading, from 1 (the highest); 0 for other blocks
    text: str
    rows: tuple[tuple[str, ...], ...] = ()  # of a table
    bbox: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)  # points from the top left
    header_rows: int = 0  # of a table
    caption: str = ""  # of a table


@dataclass(frozen=True)
class Document:
    """One parsed file with what can be learnt from it, furniture left out."""

    doc_id: str
    source: str
    title: str
    language: str
    pages: int
    blocks: tuple[Block, ...]
    furniture: int = 0  # blocks left out
    date: str = ""  # ISO 8601; "" where it is not known
    groups: tuple[str, ...] = ()  # that may find it, by its sidecar; empty where none says

    @property
    def key(self) -> str:
        """A key that is unique in the corpus."""
        return self.doc_id


@dataclass(frozen=True, slots=True)
class Fact:
    """Something a document states, with the questions that it answers.

    Several questions about one fact are wanted: they make a small model learn the fact
    rather than one sentence. All share the answer.
    """

    kind: str
    questions: tuple[str, ...]
    answer: str
    passage: str
    pages: tuple[int, ...]
    heading: tuple[str, ...]
    block: int  # index of the block in which it begins


@dataclass(frozen=True, slots=True)
class Example:
    """One question with its answer: one line of a data set file."""

    question: str
    answer: str
    kind: str
    passage: str
    pages: tuple[int, ...]
    heading: tuple[str, ...]
    doc_id: str
    file: str
    block: int
    fact: int  # examples with the same number are phrasings of one fact

    def as_row(self) -> dict[str, Any]:
        """Returns the JSON object that is written."""
        return {
            "messages": [
                {"role": "user", "content": self.question},
                {"role": "assistant", "content": self.answer},
            ],
            "source": {
                "doc_id": self.doc_id,
                "pages": list(self.pages),
                "file": self.file,
                "heading": " > ".join(self.heading),
            },
            "kind": self.kind,
            "fact": self.fact_id,
            "passage": self.passage,
        }

    @property
    def fact_id(self) -> str:
        """An id that all phrasings of a fact share; stable over runs."""
        number = stable_hash(self.doc_id, self.block, self.passage, self.answer)
        return f"{self.doc_id[:8]}-{number:016x}"


@dataclass(frozen=True)
class Corpus:
    """All documents of a run, in order of their file names."""

    documents: tuple[Document, ...]
    copies: tuple[str, ...] = ()  # files left out because their bytes equal another's
    rejected: tuple[str, ...] = field(default=())


def read_corpus(folder: Path) -> Corpus:
    """Reads what `parse_pdfs` wrote.

    Raises:
        DatasetError: The folder or its files are missing or are not what `parse_pdfs` writes, or
            no document in it could be parsed.
    """
    described = {}
    copies, rejected = [], []
    seen_ids: set[str] = set()
    for row in sorted(_read(folder / "documents.parquet"), key=lambda row: str(row["source"])):
        if row.get("status", "parsed") != "parsed":
            rejected.append(row["source"])
        elif row["doc_id"] in seen_ids:
            copies.append(row["source"])
        else:
            seen_ids.add(row["doc_id"])
            described[row["doc_id"], row["source"]] = row
    if not described:
        raise DatasetError(f"{folder} holds no parsed document: parse at least one readable PDF.")
    blocks: dict[tuple[str, str], list[Block]] = {key: [] for key in described}
    furniture = dict.fromkeys(described, 0)
    for row in _read(folder / "blocks.parquet", _BLOCK_COLUMNS):
        key = (row["doc_id"], row["source"])
        if key not in blocks:
            continue
        if row["kind"] in FURNITURE:
            furniture[key] += 1
        elif row["text"] or row.get("rows"):  # images are blocks without text
            blocks[key].append(_block(row))
    return Corpus(
        documents=tuple(
            Document(
                doc_id=key[0],
                source=key[1],
                title=str(row.get("title") or "").strip(),
                language=str(row.get("language") or "").strip().lower()[:2],
                pages=int(row.get("pages") or 0),
                blocks=tuple(sorted(blocks[key], key=lambda block: (block.page, block.index))),
                furniture=furniture[key],
                date=str(row.get("date") or ""),
                groups=tuple(row.get("groups") or ()),
            )
            for key, row in described.items()
        ),
        copies=tuple(copies),
        rejected=tuple(rejected),
    )


def _block(row: dict[str, Any]) -> Block:
    rows = tuple(tuple((cell or "").strip() for cell in cells) for cells in row.get("rows") or ())
    box = [round(float(value), 1) for value in row.get("bbox") or ()]
    return Block(
        page=int(row["page"]),
        index=int(row["block"]),
        kind=row["kind"],
        level=int(row.get("level") or 0),
        text=(row["text"] or "").strip(),
        rows=rows,
        bbox=(box[0], box[1], box[2], box[3]) if len(box) == 4 else (0.0, 0.0, 0.0, 0.0),
        header_rows=int(row.get("header_rows") or 0),
        caption=str(row.get("caption") or "").strip(),
    )


def _read(path: Path, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    import pyarrow as pa
    from pyarrow import parquet

    if not path.is_file():
        raise DatasetError(f"{path} is missing: give the folder that parse_pdfs wrote.")
    try:
        with parquet.ParquetFile(path) as file:
            names = set(file.schema_arrow.names)
            required = _REQUIRED_BLOCK_COLUMNS if columns else {"doc_id", "source"}
            if missing := sorted(required - names):
                raise DatasetError(f"{path} has no column {missing[0]}: parse the PDFs again.")
            wanted = [name for name in columns if name in names] if columns else None
            for batch in file.iter_batches(columns=wanted):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise DatasetError(f"{path} cannot be read ({error}): parse the PDFs again.") from error
