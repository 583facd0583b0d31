"""Text that filled boxes may hide: boxes in its own colour behind it, or opaque ones over it."""

from collections.abc import Sequence
from typing import Any

from doctune.documents import foreign
from doctune.documents.drawing import Fill
from doctune.documents.lines import Line, PageText
from doctune.documents.page_objects import list_objects, read_fills

_OPAQUE = 250  # of 255
_SAME_COLOUR = 24  # of 255, in each channel
_INSIDE = 2.0  # points by which a line may stand out of a box


def may_be_hidden(
    page: Any, lines: Sequence[Line], boxes: Sequence[Fill], text: PageText
) -> list[Line]:
    """Returns the lines of a PDFium page that a filled box may hide.

    Args:
        boxes: The boxes that are drawn on the page, in order.
    """
    handle = foreign.address_of(page)
    colours = read_fills(handle)
    reach = [
        (x0 - _INSIDE, y0 - _INSIDE, x1 + _INSIDE, y1 + _INSIDE, place)
        for place, x0, y0, x1, y1 in boxes
        if colours[place] >= _OPAQUE << 24
    ]
    if not reach:
        return []
    found = []
    places: dict[int, int] = {}
    for line in lines:
        x0, x1, y = line.x0, line.x1, (line.y0 + line.y1) / 2
        around = [o[4] for o in reach if o[1] <= y <= o[3] and o[0] <= x0 and x1 <= o[2]]
        if not around:
            continue
        places = places or {item: place for place, item in enumerate(list_objects(handle))}
        item = text.object_at(line.spans[0][1])
        place = places.get(item)
        if place is None:
            continue  # text of a form
        behind = [drawn for drawn in around if drawn < place]
        if len(behind) < len(around) or (behind and _is_like(colours[behind[-1]], item)):
            found.append(line)
    return found


def _is_like(behind: int, item: int) -> bool:
    """Returns whether a text object has nearly the colour of the box behind it."""
    own = foreign.colour_of(item)
    if own is None:
        return False
    channels = behind >> 16 & 255, behind >> 8 & 255, behind & 255
    return all(abs(a - b) < _SAME_COLOUR for a, b in zip(channels, own[:3], strict=True))
