"""Levels of headings: from the outline, from their numbers, from their size."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from doctune.documents.model import Block
from doctune.documents.pdfium import OutlineEntry

# A letter alone may be an article as well: "A small pump".
_NUMBER = re.compile(r"^(?:\d{1,3}(?:\.\d{1,3})*|[A-Z](?:\.\d{1,3})+)(?=\.?\s)")
_MAX_LEVEL = 6
_NOT_ALPHANUMERIC = re.compile(r"[\W_]+")


def assign_levels(
    pages: Sequence[Sequence[Block]], outline: Sequence[OutlineEntry]
) -> list[list[Block]]:
    """Returns the blocks with a level on each heading.

    A heading that the outline names has the level that it has there, one with a number has as many
    levels as its number has parts. Others have the level that most of those of their size have, or
    else rank by their size among the headings.
    """
    depths = {_plain(entry.title): entry.level for entry in outline}
    headings = [block for page in pages for block in page if block.kind == "heading"]
    named = _levels_by_size(headings, lambda block: depths.get(_plain(block.text), 0))
    numbered = _levels_by_size(headings, _parts_of_number)
    ranks = _ranks(headings)

    def level(block: Block) -> int:
        size = _size(block)
        found = depths.get(_plain(block.text)) or named.get(size)
        found = found or _parts_of_number(block) or numbered.get(size)
        return min(_MAX_LEVEL, found or ranks[size])

    return [
        [replace(b, level=level(b)) if b.kind == "heading" else b for b in page] for page in pages
    ]


def _levels_by_size(
    headings: Sequence[Block], level_of: Callable[[Block], int]
) -> dict[float, int]:
    """The commonest level of each size, of the headings that have one."""
    seen: dict[float, Counter[int]] = {}
    for block in headings:
        level = level_of(block)
        if level:
            seen.setdefault(_size(block), Counter())[level] += 1
    return {size: levels.most_common(1)[0][0] for size, levels in seen.items()}


def _parts_of_number(block: Block) -> int:
    number = _NUMBER.match(block.text)
    return number.group().count(".") + 1 if number else 0


def _ranks(headings: Sequence[Block]) -> dict[float, int]:
    """The rank of each size; the title of the document takes none from its chapters."""
    sizes = sorted({_size(block) for block in headings}, reverse=True)
    ranks = {size: rank for rank, size in enumerate(sizes, start=1)}
    largest = [block for block in headings if _size(block) == sizes[0]]
    if len(largest) == 1 and len(sizes) > 1 and largest[0] is headings[0]:
        ranks = {size: max(1, rank - 1) for size, rank in ranks.items()}
    return ranks


def _size(block: Block) -> float:
    return round(block.size * 2) / 2


def _plain(text: str) -> str:
    return _NOT_ALPHANUMERIC.sub("", text).lower()
