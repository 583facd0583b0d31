"""Levels of headings: from the outline, from their numbers, from their size."""

import re
from collections.abc import Sequence
from dataclasses import replace

from doctune.documents.model import Block
from doctune.documents.pdfium import OutlineEntry

_NUMBER = re.compile(r"^(?:[A-Z]|\d{1,3})(?:\.\d{1,3})*(?=\.?\s)")
_MAX_LEVEL = 6
_NOT_ALPHANUMERIC = re.compile(r"[\W_]+")


def assign_levels(
    pages: Sequence[Sequence[Block]], outline: Sequence[OutlineEntry]
) -> list[list[Block]]:
    """Returns the blocks with a level on each heading.

    A heading that the outline names has the level that it has there; so have the headings of its
    size. Others rank by their size among the headings.
    """
    depths = {_plain(entry.title): entry.level for entry in outline}
    headings = [block for page in pages for block in page if block.kind == "heading"]
    by_size: dict[float, list[int]] = {}
    for block in headings:
        depth = depths.get(_plain(block.text))
        if depth:
            by_size.setdefault(_size(block), []).append(depth)
    ranks = sorted({_size(block) for block in headings}, reverse=True)

    def level(block: Block) -> int:
        found = depths.get(_plain(block.text))
        if not found and _size(block) in by_size:
            seen = by_size[_size(block)]
            found = max(set(seen), key=seen.count)
        if not found:
            number = _NUMBER.match(block.text)
            found = number.group().count(".") + 1 if number else 0
        return min(_MAX_LEVEL, found or ranks.index(_size(block)) + 1)

    return [
        [replace(b, level=level(b)) if b.kind == "heading" else b for b in page] for page in pages
    ]


def _size(block: Block) -> float:
    return round(block.size * 2) / 2


def _plain(text: str) -> str:
    return _NOT_ALPHANUMERIC.sub("", text).lower()
