"""What goes between the parent and its worker processes: JSON, one message a frame.

Never pickle: a worker reads hostile files, and what a worker that was taken over may send is data.
"""

import json
from typing import Any

from doctune.documents.model import Block
from doctune.documents.parser import FileFacts, PartPage
from doctune.documents.pdfium import OutlineEntry

HEADER_BYTES = 8


def encode(message: dict[str, Any]) -> bytes:
    """Returns a message with its length before it."""
    body = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return len(body).to_bytes(HEADER_BYTES, "big") + body


def pack_facts(facts: FileFacts) -> dict[str, Any]:
    return {
        "page_count": facts.page_count,
        "metadata": facts.metadata,
        "outline": facts.outline,
    }


def unpack_facts(packed: dict[str, Any]) -> FileFacts:
    outline = [
        OutlineEntry(int(level), str(title), int(page)) for level, title, page in packed["outline"]
    ]
    metadata = {str(key): str(value) for key, value in packed["metadata"].items()}
    return FileFacts(int(packed["page_count"]), metadata, outline)


def pack_page(page: PartPage) -> list[Any]:
    blocks = [
        (b.kind, b.text, b.bbox, b.level, b.rows, b.size, b.spans, b.header_rows, b.engine)
        for b in page.blocks
    ]
    counts = (page.char_count, page.unmapped_count, page.confidence)
    return [page.number, page.width, page.height, *counts, blocks]


def unpack_page(packed: list[Any]) -> PartPage:
    number, width, height, char_count, unmapped_count, confidence, packed_blocks = packed
    blocks = [
        Block(
            number,
            kind,
            text,
            tuple(bbox),
            level,
            None if rows is None else tuple(map(tuple, rows)),
            size,
            tuple(map(tuple, spans)),
            header_rows,
            engine,
        )
        for kind, text, bbox, level, rows, size, spans, header_rows, engine in packed_blocks
    ]
    return PartPage(number, width, height, blocks, char_count, unmapped_count, confidence)
