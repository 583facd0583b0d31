"""Skew and orientation of scanned pages."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from PIL import Image

from doctune.documents.geometry import turn_box
from doctune.documents.lines import Line
from doctune.documents.model import BBox

_SEARCH_HEIGHT = 500  # pixels: enough to resolve the gaps between rows of text
_COARSE_DEGREES, _FINE_DEGREES = 1.0, 0.25
_MOST_DEGREES = 12.0
_LEAST_GAIN = 1.1  # over the score without rotation, so that straight pages are not changed
_LONG_CHARS = 10


def skew_of(picture: Image.Image) -> float:
    """Returns the angle, in degrees counter-clockwise, that deskews a grey image.

    For level rows of text, the sums of adjacent pixel rows differ most (Postl's projection
    profile). Returns 0 if no angle is clearly better.
    """
    scale = _SEARCH_HEIGHT / max(picture.size)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    small = picture.resize(size, Image.Resampling.BOX)
    steps = int(_MOST_DEGREES / _COARSE_DEGREES)
    coarse = [step * _COARSE_DEGREES for step in range(-steps, steps + 1)]
    best = max(coarse, key=lambda angle: _levelness(small, angle))
    fine = [best + step * _FINE_DEGREES for step in range(-3, 4)]
    best = max(fine, key=lambda angle: _levelness(small, angle))
    return best if _levelness(small, best) > _LEAST_GAIN * _levelness(small, 0.0) else 0.0


def straighten(picture: Image.Image, skew: float) -> Image.Image:
    """Rotates an image by the angle of `skew_of`; the corners are filled with white."""
    return picture.rotate(skew, Image.Resampling.BICUBIC, fillcolor=255)


def _levelness(picture: Image.Image, angle: float) -> float:
    """Returns how much sums of adjacent rows (of columns, for a page on its side) differ."""
    turned = picture.rotate(angle, Image.Resampling.BILINEAR, fillcolor=255) if angle else picture
    width, height = turned.size
    rows = turned.resize((1, height), Image.Resampling.BOX).tobytes()
    columns = turned.resize((width, 1), Image.Resampling.BOX).tobytes()
    return float(
        max(
            sum((other - one) ** 2 for one, other in pairwise(rows)) * width,
            sum((other - one) ** 2 for one, other in pairwise(columns)) * height,
        )
    )


def quarters_of(lines: Sequence[Line]) -> int:
    """Returns the clockwise quarter turns that make lines level, from their order and shape."""
    long = [line for line in lines if len(line.text) >= _LONG_CHARS] or list(lines)
    wide = sum(line.x1 - line.x0 for line in long) >= sum(line.y1 - line.y0 for line in long)
    downs = rights = 0
    for one, other in pairwise(long):
        downs += (other.y0 > one.y0) - (other.y0 < one.y0)
        rights += (other.x0 > one.x0) - (other.x0 < one.x0)
    if wide:
        return 2 if downs < 0 and -downs > len(long) / 2 else 0
    return 1 if rights >= 0 else 3


def back_to_page(skew: float, quarters: int, width: float, height: float) -> Callable[[BBox], BBox]:
    """Returns a function that maps a box of the deskewed page to the page as it is shown.

    Args:
        skew: Angle in degrees counter-clockwise by which the page was rotated about its centre.
        quarters: Clockwise quarter turns after that.
        width, height: The size of the page as it is shown, in points.
    """
    sine, cosine = math.sin(math.radians(skew)), math.cos(math.radians(skew))
    upright = (height, width) if quarters % 2 else (width, height)

    def shown(box: BBox) -> BBox:
        x0, y0, x1, y1 = turn_box(box, -quarters % 4, *upright)
        corners = [
            (x - width / 2, y - height / 2) for x, y in ((x0, y0), (x1, y0), (x0, y1), (x1, y1))
        ]
        xs = [width / 2 + x * cosine - y * sine for x, y in corners]
        ys = [height / 2 + x * sine + y * cosine for x, y in corners]
        return round(min(xs), 1), round(min(ys), 1), round(max(xs), 1), round(max(ys), 1)

    return shown
