"""The protocol between the parent and its worker processes: length-prefixed JSON messages.

Never pickle: workers parse hostile files, and a compromised worker must only be able to send data.
"""

import json
import re
from dataclasses import replace
from typing import Any, NamedTuple

from doctune.documents.errors import PdfError
from doctune.documents.model import Block
from doctune.documents.parser import FileFacts
from doctune.documents.part_page import PartPage
from doctune.documents.pdfium import OutlineEntry
from doctune.documents.stages import Fault

_HEADER_BYTES = 8
_BASE64 = re.compile("[A-Za-z0-9+/]+={0,2}")


def encode(message: dict[str, Any]) -> bytes:
    """Encodes a message, prefixed with its length."""
    body = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return len(body).to_bytes(_HEADER_BYTES, "big") + body


class Frames:
    """Decodes messages from a stream of chunks."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> list[dict[str, Any]]:
        """Takes the next bytes; returns the complete messages.

        Raises:
            ValueError: The bytes are not valid messages, or one is over the limit.
        """
        self._buffer += chunk
        messages = []
        while len(self._buffer) >= _HEADER_BYTES:
            end = _HEADER_BYTES + int.from_bytes(self._buffer[:_HEADER_BYTES], "big")
            if end > _HEADER_BYTES + self._most_bytes:
                raise ValueError(f"a message of {end} bytes")
            if len(self._buffer) < end:
                break
            message = json.loads(self._buffer[_HEADER_BYTES:end])
            if not isinstance(message, dict):
                raise ValueError(f"a message that is a {type(message).__name__}")
            messages.append(message)
            del self._buffer[:end]
        return messages


def unpack_status(reply: dict[str, Any]) -> tuple[float, PdfError | None]:
    """Returns the peak memory of the worker in MiB, and the error of a rejected file.

    Raises:
        KeyError, TypeError, ValueError: The reply is invalid.
    """
    error = reply.get("error")
    failure = PdfError(error["reason"], str(error["message"])) if error else None
    return float(reply.get("peak_mb", 0.0)), failure


def pack_facts(facts: FileFacts) -> dict[str, Any]:
    return {
        "page_count": facts.page_count,
        "metadata": facts.metadata,
        "outline": facts.outline,
        "attached": facts.attached,
    }


def unpack_facts(packed: dict[str, Any]) -> FileFacts:
    outline = [
        OutlineEntry(int(level), str(title), int(page)) for level, title, page in packed["outline"]
    ]
    metadata = {str(key): str(value) for key, value in packed["metadata"].items()}
    attached = tuple(map(str, packed["attached"]))
    return FileFacts(int(packed["page_count"]), metadata, outline, attached)


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
            b.latex,
        )
        for b in page.blocks
    ]
    counts = (
        page.char_count,
        page.unmapped_count,
        page.confidence,
        page.unread,
        page.text_chars,
        page.lost_chars,
        page.hidden_chars,
        page.unsure,
    )
    faults = [(fault.stage, fault.page, fault.error) for fault in page.faults]
    return [page.number, page.width, page.height, *counts, faults, blocks]


class Picture(NamedTuple):
    """A page's number, its size in points, and its JPEG in base64."""

    page: int
    width: float
    height: float
    jpeg: str


def unpack_pictures(answer: dict[str, Any]) -> list[Picture]:
    """Returns the images of pages; invalid ones are left out."""
    return [
        Picture(int(found["page"]), float(found["width"]), float(found["height"]), found["jpeg"])
        for found in answer.get("pictures", ())
        if _BASE64.fullmatch(found["jpeg"])
    ]


def unpack_part(answer: dict[str, Any]) -> list[PartPage]:
    """Returns the pages of a part.

    Raises:
        KeyError, TypeError, ValueError: The answer is invalid.
    """
    return [_unpack_page(page) for page in answer["pages"]]


def _unpack_page(packed: list[Any]) -> PartPage:
    number, width, height, *counts, packed_faults, packed_blocks = packed
    blocks = [_unpack_block(number, *fields) for fields in packed_blocks]
    faults = tuple(Fault(str(stage), int(on), str(error)) for stage, on, error in packed_faults)
    return replace(PartPage(number, width, height, blocks, *counts), faults=faults)


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
    latex: str,
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
        latex,
    )
