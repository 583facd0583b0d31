"""Page coordinates: points from the top left corner of the page as it is shown."""

import ctypes
from typing import Any, NamedTuple

import pypdfium2.raw as pdfium

from doctune.documents.model import BBox


class PageSpace(NamedTuple):
    """The mapping from PDF user space to the page as it is shown.

    Attributes:
        rotation: Quarter turns clockwise.
        width, height: The size of the page as it is shown, in points.
    """

    left: float
    bottom: float
    right: float
    top: float
    rotation: int

    @property
    def width(self) -> float:
        return self.top - self.bottom if self.rotation % 2 else self.right - self.left

    @property
    def height(self) -> float:
        return self.right - self.left if self.rotation % 2 else self.top - self.bottom

    def box(self, left: float, bottom: float, right: float, top: float) -> BBox:
        """Maps a box of user space."""
        if self.rotation == 0:
            return left - self.left, self.top - top, right - self.left, self.top - bottom
        if self.rotation == 1:
            return bottom - self.bottom, left - self.left, top - self.bottom, right - self.left
        if self.rotation == 2:
            return self.right - right, bottom - self.bottom, self.right - left, top - self.bottom
        return self.top - top, self.right - right, self.top - bottom, self.right - left

    def turned(self, quarters: int) -> "PageSpace":
        """Returns the same page, rotated by quarter turns clockwise."""
        return self._replace(rotation=(self.rotation + quarters) % 4)


def turn_box(box: BBox, quarters: int, width: float, height: float) -> BBox:
    """Rotates a box by clockwise quarter turns; width and height are the page's before them."""
    x0, y0, x1, y1 = box
    if quarters == 1:
        return height - y1, x0, height - y0, x1
    if quarters == 2:
        return width - x1, height - y1, width - x0, height - y0
    if quarters == 3:
        return y0, width - x1, y1, width - x0
    return box


def page_space(page: Any) -> PageSpace:
    """Reads the crop box and rotation of a PDFium page."""
    rect = pdfium.FS_RECTF()
    if not pdfium.FPDF_GetPageBoundingBox(page, ctypes.byref(rect)):
        width, height = pdfium.FPDF_GetPageWidthF(page), pdfium.FPDF_GetPageHeightF(page)
        return PageSpace(0.0, 0.0, width, height, 0)
    rotation = max(0, pdfium.FPDFPage_GetRotation(page)) % 4
    left, right = sorted((rect.left, rect.right))
    bottom, top = sorted((rect.bottom, rect.top))
    return PageSpace(left, bottom, right, top, rotation)
