"""Renders PDFium pages in grey, for image analysis and OCR."""

import ctypes
import math
from typing import TYPE_CHECKING, Any

import pypdfium2.raw as pdfium

from doctune.documents.geometry import PageSpace

if TYPE_CHECKING:
    from PIL import Image


_MOST_SIDE = 20_000  # pixels


def fitting_scale(space: PageSpace, scale: float, most_pixels: int) -> float:
    """Returns a scale, reduced so that the rendered page has at most `most_pixels`."""
    width, height = max(1.0, space.width), max(1.0, space.height)
    return min(scale, math.sqrt(most_pixels / width / height), _MOST_SIDE / max(width, height))


def size_of(space: PageSpace, scale: float) -> tuple[int, int]:
    """Returns the width and height in pixels of a page that is rendered at a scale."""
    return max(1, round(space.width * scale)), max(1, round(space.height * scale))


def draw_grey(
    page: Any, space: PageSpace, scale: float, part: tuple[int, int, int, int] | None = None
) -> "Image.Image":
    """Renders a page as it is shown, on white.

    Args:
        scale: Pixels per point, from `fitting_scale`.
        part: The box of pixels to render (left, top, right, bottom); by default, the whole page.

    Raises:
        MemoryError: The image would be too large.
    """
    from PIL import Image

    whole = size_of(space, scale)
    left, top, right, bottom = part or (0, 0, *whole)
    width, height = right - left, bottom - top
    bitmap = pdfium.FPDFBitmap_CreateEx(width, height, pdfium.FPDFBitmap_Gray, None, 0)
    if not bitmap:
        raise MemoryError(f"a picture of {width} by {height} pixels")
    try:
        pdfium.FPDFBitmap_FillRect(bitmap, 0, 0, width, height, 0xFFFFFFFF)
        pdfium.FPDF_RenderPageBitmap(bitmap, page, -left, -top, *whole, 0, pdfium.FPDF_ANNOT)
        stride = pdfium.FPDFBitmap_GetStride(bitmap)
        pixels = ctypes.string_at(pdfium.FPDFBitmap_GetBuffer(bitmap), stride * height)
    finally:
        pdfium.FPDFBitmap_Destroy(bitmap)
    return Image.frombytes("L", (width, height), pixels, "raw", "L", stride)
