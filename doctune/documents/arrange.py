"""Arranges the blocks of a page: nests lists, attaches captions and links."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from doctune.documents.annotations import Link
from doctune.documents.captions import tie_captions
from doctune.documents.model import FURNITURE, TAGS, BBox, Block

_INDENT = 4.0  # points


def arrange_blocks(
    blocks: list[Block],
    figures: Sequence[BBox],
    links: Sequence[Link],
    shown: Callable[[BBox], BBox] | None,
) -> list[Block]:
    """Returns the blocks of a page with nested lists, captions and links.

    Args:
        figures: The boxes of drawings and images.
        shown: Maps boxes of a deskewed scan to the page; None for other pages.
    """
    blocks = _furniture_outside(_nest_lists(blocks))
    if any(block.kind == "caption" for block in blocks):
        blocks = tie_captions(blocks, figures)
    if shown:
        blocks = [replace(block, bbox=shown(block.bbox)) for block in blocks]
    return _add_links(blocks, links) if links else blocks


def insert_turned(blocks: list[Block], turned: list[Block]) -> list[Block]:
    """Inserts the blocks of rotated text into the blocks of a page, by position."""
    if not turned:
        return blocks
    top = min(block.bbox[1] for block in turned)
    before = [
        place
        for place, block in enumerate(blocks, 1)
        if block.kind not in ("footer", "footnote") and block.bbox[3] <= top + _INDENT
    ]
    place = max(before, default=0)
    return [*blocks[:place], *turned, *blocks[place:]]


def insert_figure(blocks: list[Block], number: int, box: BBox, text: str) -> list[Block]:
    """Inserts the description of a figure into the blocks of a page, by position."""
    x0, y0, x1, y1 = (round(value, 1) for value in box)
    caption = next((b.caption for b in blocks if b.kind == "figure" and _is_over(b, box)), "")
    figure = Block(number, "figure", text, (x0, y0, x1, y1), engine=TAGS, caption=caption)
    return insert_turned(blocks, [figure])


def _is_over(block: Block, box: BBox) -> bool:
    """Returns whether the middle of a block is in a box."""
    x, y = (block.bbox[0] + block.bbox[2]) / 2, (block.bbox[1] + block.bbox[3]) / 2
    return box[0] <= x <= box[2] and box[1] <= y <= box[3]


def _add_links(blocks: list[Block], links: Sequence[Link]) -> list[Block]:
    """Adds to each block the addresses of the links within its box."""
    found: dict[int, list[str]] = {}
    for (x0, y0, x1, y1), address in links:
        x, y = (x0 + x1) / 2, (y0 + y1) / 2
        for index, block in enumerate(blocks):
            box = block.bbox
            if box[0] - 2 <= x <= box[2] + 2 and box[1] - 2 <= y <= box[3] + 2:
                addresses = found.setdefault(index, [])
                if address not in addresses:
                    addresses.append(address)
                break
    return [
        replace(block, links=tuple(found[index])) if index in found else block
        for index, block in enumerate(blocks)
    ]


def _nest_lists(blocks: list[Block]) -> list[Block]:
    """Sets the level of list items by their indentation."""
    nested: list[Block] = []
    lefts: list[float] = []
    for block in blocks:
        if block.kind != "list":
            # An indented paragraph belongs to an item; any other block ends the list.
            if block.kind not in FURNITURE and not (lefts and block.bbox[0] > lefts[0] + _INDENT):
                lefts = []
            nested.append(block)
            continue
        left = block.bbox[0]
        while lefts and left < lefts[-1] - _INDENT:
            lefts.pop()
        if not lefts or left > lefts[-1] + _INDENT:
            lefts.append(left)
        nested.append(replace(block, level=min(len(lefts), 6)))
    return nested


def _furniture_outside(blocks: list[Block]) -> list[Block]:
    """Moves headers to the start and footers to the end of the page."""
    headers = [block for block in blocks if block.kind == "header"]
    footers = [b for b in blocks if b.kind in FURNITURE and b.kind != "header"]
    return headers + [block for block in blocks if block.kind not in FURNITURE] + footers
