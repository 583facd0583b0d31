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
        (
            b.kind,
            b.text,
            b.bbox,
            b.level,
            b.rows,
            b.size,
            b.spans,
            b.header_rows,
            b.engine,
            b.confidence,
            b.caption,
            b.links,
        )
        for b in page.blocks
    ]
    counts = (page.char_count, page.unmapped_count, page.confidence)
    return [page.number, page.width, page.height, *counts, blocks]


def unpack_page(packed: list[Any]) -> PartPage:
    number, width, height, char_count, unmapped_count, confidence, packed_blocks = packed
    blocks = [_unpack_block(number, *fields) for fields in packed_blocks]
    return PartPage(number, width, height, blocks, char_count, unmapped_count, confidence)


def _unpack_block(
    page: int,
    kind: str,
    text: str,
    bbox: list[float],
    level: int | None,
    rows: list[list[str]] | None,
    size: float,
    spans: list[list[int]],
    header_rows: int,
    engine: str,
    confidence: float | None,
    caption: str,
    links: list[str],
) -> Block:
    x0, y0, x1, y1 = bbox
    return Block(
        page,
        kind,
        text,
        (x0, y0, x1, y1),
        level,
        None if rows is None else tuple(map(tuple, rows)),
        size,
        tuple((a, b, c, d) for a, b, c, d in spans),
        header_rows,
        engine,
        confidence,
        caption,
        tuple(links),
    )
