"""The objects of a PDFium page: their addresses, and how paths are filled.

A page may have thousands, so _native.c asks for all at once where it was compiled.
"""

from doctune.documents import foreign, native

MAX_OBJECTS = 20_000  # of a page; the rest is ignored
NO_FILL, UNKNOWN_FILL = -1, -2


def list_objects(page: int) -> list[int]:
    """Returns the addresses of the objects of the page at an address, in drawing order."""
    if native.module:
        return native.module.list_objects(page)
    count = max(0, min(foreign.object_count(page), MAX_OBJECTS))
    return [foreign.object_at(page, place) for place in range(count)]


def read_fills(page: int) -> list[int]:
    """Returns the colour of each filled path as 0xAARRGGBB; NO_FILL for all other objects.

    It is UNKNOWN_FILL for a pattern.
    """
    if native.module:
        return native.module.read_fills(page)
    return [_fill_of(item) for item in list_objects(page)]


def is_white(colour: int) -> bool:
    """Returns whether a known colour is white or transparent."""
    channels = colour >> 16 & 255, colour >> 8 & 255, colour & 255
    return colour >= 0 and (min(channels) >= foreign.PAPER or colour >> 24 < foreign.LEAST_ALPHA)


def _fill_of(item: int) -> int:
    if not foreign.is_filled(item):
        return NO_FILL
    colour = foreign.colour_of(item)
    if colour is None:
        return UNKNOWN_FILL
    red, green, blue, alpha = colour
    return alpha << 24 | red << 16 | green << 8 | blue
