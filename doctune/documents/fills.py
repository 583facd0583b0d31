"""Text that filled boxes may hide: boxes in its own colour behind it, or opaque ones over it."""

from collections.abc import Sequence
from typing import Any

from doctune.documents import foreign
from doctune.documents.drawing import Fill
from doctune.documents.lines import Line, PageText

_OPAQUE = 250  # of 255
_SAME_COLOUR = 24  # of 255, in each channel
_INSIDE = 2.0  # points by which a line may stand out of a box
_MAX_OBJECTS = 20_000


def may_be_hidden(
    page: Any, lines: Sequence[Line], boxes: Sequence[Fill], text: PageText
) -> list[Line]:
    """Returns the lines of a PDFium page that a filled box may hide.

    Args:
        boxes: The boxes that are drawn on the page, in order.
    """
    handle = foreign.address_of(page)
    fills: list[tuple[Fill, tuple[int, ...]]] = []
    for box in boxes:
        item = foreign.object_at(handle, box.place)
        colour = foreign.colour_of(item) if foreign.is_filled(item) else None
        if colour and colour[3] >= _OPAQUE:
            fills.append((box, colour))
    if not fills:
        return []
    found = []
    places: dict[int, int] = {}
    for line in lines:
        around = [(box, colour) for box, colour in fills if _is_within(line, box)]
        if not around:
            continue
        if not places:
            count = min(foreign.object_count(handle), _MAX_OBJECTS)
            places = {foreign.object_at(handle, place): place for place in range(count)}
        item = text.object_at(line.spans[0][1])
        place = places.get(item)
        if place is None:
            continue  # text of a form
        behind = [colour for box, colour in around if box.place < place]
        own = foreign.colour_of(item)
        same = bool(behind and own) and all(
            abs(one - other) < _SAME_COLOUR
            for one, other in zip(behind[-1][:3], own[:3], strict=True)  # type: ignore[index]
        )
        if same or len(behind) < len(around):
            found.append(line)
    return found


def _is_within(line: Line, box: Fill) -> bool:
    return (
        box.x0 - _INSIDE <= line.x0
        and line.x1 <= box.x1 + _INSIDE
        and box.y0 - _INSIDE <= (line.y0 + line.y1) / 2 <= box.y1 + _INSIDE
    )
