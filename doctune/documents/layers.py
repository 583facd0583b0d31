"""Lines that a program read off a picture: their sizes and fonts say little."""

from collections.abc import Sequence

from doctune.documents import fonts
from doctune.documents.lines import Line

_SIZE_SHARE = 0.75  # of a line's height: about the font's size
_LARGE = 1.45  # of the usual height


def set_sizes(lines: Sequence[Line]) -> None:
    """Gives lines one size, but for those that are much higher than most."""
    heights = sorted(line.y1 - line.y0 for line in lines)
    usual = heights[len(heights) // 2]
    for line in lines:
        height = line.y1 - line.y0
        # Heights depend on the letters that a line happens to have: only large ones mean a size.
        line.size = _SIZE_SHARE * (height if height > _LARGE * usual else usual)


def level(lines: Sequence[Line]) -> None:
    """Takes from the text layer of a scan what its fonts pretend: one style, hardly any sizes."""
    upright = [line for line in lines if not line.turn]
    if upright:
        set_sizes(upright)
    for line in lines:
        line.font = fonts.PLAIN
