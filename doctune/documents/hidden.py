"""Separates hidden text from visible text.

Text that is white on white, without size, off the page, under an image, or invisible over nothing
is left out, since it is a means of prompt injection. The invisible text layer of a scan repeats
what the scan shows, and is kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pypdfium2.raw as pdfium

from doctune.documents import foreign
from doctune.documents.drawing import Drawing
from doctune.documents.fills import may_be_hidden
from doctune.documents.geometry import PageSpace
from doctune.documents.lines import Line, PageText
from doctune.documents.model import BBox
from doctune.documents.page_objects import (
    MAX_OBJECTS,
    NO_FILL,
    is_white,
    list_objects,
    read_fills,
)

if TYPE_CHECKING:
    from PIL import Image

_LEAST_SIZE = 1.5  # points
_ON_PICTURE, _COVERED = 0.5, 0.9  # of a line's area
_PICTURE_SHARE = 0.6  # of the page's area: a picture that large is a scan
_SCALE, _MOST_PIXELS = 2.0, 4_000_000  # of the rendering in which ink is looked for
_LEAST_CONTRAST = 24  # of 255
_STILL_SEEN = 0.4  # of a line's contrast without the image over it


@dataclass
class VisibleText:
    """The lines of a page, separated by visibility.

    Attributes:
        shown: The visible lines, including the text layer of a scan.
        hidden: The hidden lines.
        layer: Whether the text is the text layer of a scan.
    """

    shown: list[Line]
    hidden: list[Line] = field(default_factory=list)
    layer: bool = False


def split_hidden(
    page: Any, space: PageSpace, lines: list[Line], drawing: Drawing, text: PageText
) -> VisibleText:
    """Separates the visible lines of a PDFium page from the hidden ones."""
    styles = text.styles(lines)
    in_boxes = may_be_hidden(page, lines, drawing.boxes, text) if drawing.boxes else []
    plain = not in_boxes and not drawing.images and not any(styles)
    width, height = space.width, space.height
    if plain and all(_is_plain(width, height, line) for line in lines):
        return VisibleText(lines)
    checker = _Checker(page, space, drawing.images + drawing.figures)
    area = space.width * space.height
    is_scan = any(_area(box) >= _PICTURE_SHARE * area for box in drawing.images)
    pairs = list(zip(lines, styles, strict=True))
    invisible = sum(len(line.text) for line, style in pairs if style & foreign.INVISIBLE)
    layer = is_scan and 2 * invisible > sum(len(line.text) for line in lines)
    on_pictures = [
        line for line in lines if any(_share_in(line, box) > _COVERED for box in drawing.images)
    ]
    covered = _covered(page, space, on_pictures, text) if on_pictures and not is_scan else set()
    covered |= {id(line) for line in in_boxes if not checker.shows_ink(line)}
    hidden = {
        id(line) for line, style in pairs if id(line) in covered or checker.hides(line, style)
    }
    if not hidden:
        return VisibleText(lines, [], layer)
    shown = [line for line in lines if id(line) not in hidden]
    return VisibleText(shown, [line for line in lines if id(line) in hidden], layer)


class _Checker:
    """Checks lines for visibility; the page is rendered only if a line is suspect."""

    def __init__(self, page: Any, space: PageSpace, pictures: Sequence[BBox]) -> None:
        self._page, self._space, self._pictures = page, space, pictures
        self._picture: Image.Image | None = None

    def hides(self, line: Line, style: int) -> bool:
        if not _is_plain(self._space.width, self._space.height, line):
            return True
        if not style:
            return False
        if any(_share_in(line, box) >= _ON_PICTURE for box in self._pictures):
            return False
        if style == foreign.WHITE:
            return not (
                any(_share_in(line, box) >= _ON_PICTURE for box in self._fills)
                or self.shows_ink(line)
            )
        return not self.shows_ink(line)

    @cached_property
    def _fills(self) -> list[BBox]:
        """Returns the boxes of coloured shapes, on which white letters are visible."""
        handle, bounds = foreign.address_of(self._page), foreign.Floats(4)
        found: list[BBox] = []
        for item, colour in zip(list_objects(handle), read_fills(handle), strict=True):
            if colour == NO_FILL or is_white(colour):
                continue
            if foreign.object_bounds(item, *bounds.addresses):
                found.append(self._space.box(*bounds.read()))
        return found

    def shows_ink(self, line: Line) -> bool:
        """Returns whether something is seen in a line's box."""
        from doctune.documents.raster import draw_grey, fitting_scale

        scale = fitting_scale(self._space, _SCALE, _MOST_PIXELS)
        if self._picture is None:
            self._picture = draw_grey(self._page, self._space, scale)
        box = _pixels(line, scale, self._picture.size)
        if box is None:
            return False
        levels = self._picture.crop(box).tobytes()
        return max(levels) - min(levels) >= _LEAST_CONTRAST


def _covered(page: Any, space: PageSpace, lines: Sequence[Line], text: PageText) -> set[int]:
    """Returns the ids of lines over which an opaque image is painted later."""
    handle = foreign.address_of(page)
    images: list[tuple[int, BBox]] = []
    places: dict[int, int] = {}
    bounds = foreign.Floats(4)
    items = list_objects(handle)
    for place, item in enumerate(items):
        kind = foreign.object_kind(item)
        if kind == pdfium.FPDF_PAGEOBJ_TEXT:
            places[item] = place
        elif (
            kind == pdfium.FPDF_PAGEOBJ_IMAGE
            and not foreign.has_transparency(item)
            and foreign.object_bounds(item, *bounds.addresses)
        ):
            images.append((place, space.box(*bounds.read())))
    found = {
        id(line): line
        for line in lines
        if any(
            _share_in(line, box) > _COVERED
            and places.get(text.object_at(line.spans[0][1]), MAX_OBJECTS) < place
            for place, box in images
        )
    }
    if not found:
        return set()
    return _vanished(page, space, found, [items[at] for at, _ in images])


def _vanished(
    page: Any, space: PageSpace, lines: dict[int, Line], images: Sequence[int]
) -> set[int]:
    """Returns the ids of lines whose ink is visible only without the images."""
    from PIL import ImageStat

    from doctune.documents.raster import draw_grey, fitting_scale, size_of

    scale = fitting_scale(space, _SCALE, _MOST_PIXELS)
    boxes = {key: _pixels(line, scale, size_of(space, scale)) for key, line in lines.items()}
    seen = {key: box for key, box in boxes.items() if box}
    if not seen:
        return set()
    # Only the part around the lines is rendered: a large image costs most of the time.
    lefts, tops, rights, bottoms = zip(*seen.values(), strict=True)
    part = min(lefts), min(tops), max(rights), max(bottoms)
    shown = draw_grey(page, space, scale, part)
    for image in images:
        foreign.set_active(image, 0)
    bare = draw_grey(page, space, scale, part)
    for image in images:
        foreign.set_active(image, 1)
    gone: set[int] = set()
    for key, (left, top, right, bottom) in seen.items():
        box = left - part[0], top - part[1], right - part[0], bottom - part[1]
        letters = bare.crop(box)
        paper = max(range(256), key=letters.histogram().__getitem__)
        ink = letters.point([255 * (abs(level - paper) > _LEAST_CONTRAST) for level in range(256)])
        if ink.getbbox() is None:
            continue
        rest = ink.point([255 - level for level in range(256)])
        contrasts = [
            abs(ImageStat.Stat(crop, ink).mean[0] - ImageStat.Stat(crop, rest).mean[0])
            for crop in (letters, shown.crop(box))
        ]
        if contrasts[1] < _STILL_SEEN * contrasts[0]:
            gone.add(key)
    return gone


def _pixels(line: Line, scale: float, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """Returns the pixel box of a line in a rendering of the page; None if it is outside."""
    left, top, right, bottom = (round(scale * p) for p in (line.x0, line.y0, line.x1, line.y1))
    left, top, right, bottom = max(0, left), max(0, top), min(size[0], right), min(size[1], bottom)
    return (left, top, right, bottom) if left < right and top < bottom else None


def _is_plain(width: float, height: float, line: Line) -> bool:
    """Returns whether a line is on a page of this size and large enough to be visible."""
    return (
        -1 <= line.x0 + line.x1 <= 2 * width + 2
        and -1 <= line.y0 + line.y1 <= 2 * height + 2
        and (line.size >= _LEAST_SIZE or line.y1 - line.y0 >= _LEAST_SIZE)
    )


def _area(box: BBox) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def _share_in(line: Line, box: BBox) -> float:
    """Returns the share of a line's box that is within another box."""
    inside = (
        max(line.x0, box[0]),
        max(line.y0, box[1]),
        min(line.x1, box[2]),
        min(line.y1, box[3]),
    )
    if inside[2] <= inside[0] or inside[3] <= inside[1]:
        return 0.0
    return _area(inside) / max(0.01, _area((line.x0, line.y0, line.x1, line.y1)))
