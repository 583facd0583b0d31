"""Normalises sizes and styles of OCR lines, which are unreliable."""

from collections.abc import Sequence

from doctune.documents import fonts
from doctune.documents.lines import Line

_SIZE_SHARE = 0.75  # of a line's height: about the font's size
_LARGE = 1.45  # of the usual height


def set_sizes(lines: Sequence[Line]) -> None:
    """Sets the same size for all lines, except for those that are much higher."""
    heights = sorted(line.y1 - line.y0 for line in lines)
    usual = heights[len(heights) // 2]
    for line in lines:
        height = line.y1 - line.y0
        # A line's height depends on its letters, so only large differences mean another size.
        line.size = _SIZE_SHARE * (height if height > _LARGE * usual else usual)


def level(lines: Sequence[Line]) -> None:
    """Normalises the text layer of a scan to one style and few sizes."""
    upright = [line for line in lines if not line.turn]
    if upright:
        set_sizes(upright)
    for line in lines:
        line.font = fonts.PLAIN
