"""Small parsed corpora for the tests, written as `parse_pdfs` writes them."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

BLOCKS = pa.schema(
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
        ("header_rows", pa.int32()),
        ("engine", pa.string()),
    ]
)


@dataclass
class Paper:
    """A document under construction: call its methods in reading order."""

    source: str
    title: str = ""
    language: str = "en"
    status: str = "parsed"
    page: int = 1
    blocks: list[dict[str, Any]] = field(default_factory=list)

    @property
    def doc_id(self) -> str:
        content = repr([(block["kind"], block["text"]) for block in self.blocks])
        return hashlib.sha256(content.encode()).hexdigest()

    def heading(self, text: str, level: int = 1) -> "Paper":
        return self.add("heading", text, level=level)

    def text(self, *paragraphs: str) -> "Paper":
        for paragraph in paragraphs:
            self.add("paragraph", paragraph)
        return self

    def items(self, *items: str) -> "Paper":
        for item in items:
            self.add("list", item, level=1)
        return self

    def table(self, *rows: list[str], header_rows: int | None = None) -> "Paper":
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        lines.insert(1, "|" + " --- |" * len(rows[0]))
        return self.add(
            "table", "\n".join(lines), rows=[list(row) for row in rows], header_rows=header_rows
        )

    def new_page(self) -> "Paper":
        self.page += 1
        return self

    def add(
        self,
        kind: str,
        text: str,
        level: int | None = None,
        rows: Any = None,
        header_rows: int | None = None,
    ) -> "Paper":
        block = {"page": self.page, "kind": kind, "level": level, "text": text, "rows": rows}
        self.blocks.append({**block, "header_rows": header_rows})
        return self


def write_corpus(folder: Path, *papers: Paper) -> Path:
    """Writes `blocks.parquet` and `documents.parquet` and returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    blocks, documents = [], []
    for paper in papers:
        for number, block in enumerate(paper.blocks):
            blocks.append(
                {
                    "doc_id": paper.doc_id,
                    "source": paper.source,
                    "block": number,
                    "bbox": [0.0, 0.0, 1.0, 1.0],
                    "engine": "test",
                    **block,
                }
            )
        documents.append(
            {
                "doc_id": paper.doc_id,
                "source": paper.source,
                "pages": paper.page,
                "chars": sum(len(block["text"]) for block in paper.blocks),
                "title": paper.title or None,
                "language": paper.language or None,
                "status": paper.status,
                "error": None,
            }
        )
    parquet.write_table(pa.Table.from_pylist(blocks, schema=BLOCKS), folder / "blocks.parquet")
    parquet.write_table(pa.Table.from_pylist(documents), folder / "documents.parquet")
    return folder
