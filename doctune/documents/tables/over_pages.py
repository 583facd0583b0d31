"""Tables that go on over the page: their parts put together, repeated header rows once."""

from collections.abc import Sequence
from dataclasses import replace

from doctune.documents.markdown import table_markdown
from doctune.documents.model import OUT_OF_FLOW, Block

_SAME_SIDE = 12.0  # points
_LOWEST_END = 0.6  # of the page's height: a table that ends above has ended
_HIGHEST_START = 0.35


def join_over_pages(
    pages: Sequence[Sequence[Block]], heights: Sequence[float]
) -> list[list[Block]]:
    """Returns the blocks of each page; a table that goes on stands whole where it begins.

    Args:
        heights: Of the pages, in points.
    """
    joined = [list(page) for page in pages]
    # Where the table that may go on stands: its page and place there.
    last: tuple[int, int] | None = None
    for number, page in enumerate(joined):
        first = next((i for i, block in enumerate(page) if _in_flow(block)), None)
        if last is not None and first is not None:
            begun, part = joined[last[0]][last[1]], page[first]
            if part.bbox[1] < _HIGHEST_START * heights[number] and _goes_on(begun, part):
                # Its sides are those of the part that it ended with.
                joined[last[0]][last[1]] = _join(begun, part)
                del page[first]
                if any(map(_in_flow, page)) or part.bbox[3] < _LOWEST_END * heights[number]:
                    last = _last_table(page, number, heights[number])
                continue
        if any(map(_in_flow, page)):
            last = _last_table(page, number, heights[number])
    return joined


def _in_flow(block: Block) -> bool:
    return block.kind not in OUT_OF_FLOW and block.kind != "footnote"


def _last_table(page: list[Block], number: int, height: float) -> tuple[int, int] | None:
    last = max((i for i, block in enumerate(page) if _in_flow(block)), default=None)
    if last is None or page[last].kind != "table" or page[last].bbox[3] < _LOWEST_END * height:
        return None
    return number, last


def _goes_on(begun: Block, part: Block) -> bool:
    if part.kind != "table" or part.caption or not part.rows or not begun.rows:
        return False
    return (
        len(part.rows[0]) == len(begun.rows[0])
        and abs(part.bbox[0] - begun.bbox[0]) < _SAME_SIDE
        and abs(part.bbox[2] - begun.bbox[2]) < _SAME_SIDE
    )


def _join(begun: Block, part: Block) -> Block:
    above, rows = begun.rows or (), part.rows or ()
    head = begun.header_rows
    repeated = head if rows[:head] == above[:head] else 0
    rest = rows[repeated:]
    shift = len(above) - repeated
    spans = [(row + shift, *span) for row, *span in part.spans if row >= repeated]
    whole = above + rest
    return replace(
        begun,
        rows=whole,
        text=table_markdown(whole),
        spans=begun.spans + tuple((a, b, c, d) for a, b, c, d in spans),
        links=begun.links + part.links,
    )
