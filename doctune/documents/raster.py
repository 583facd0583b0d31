"""A page of PDFium drawn in grey, for programs that look at pictures."""

import ctypes
from typing import TYPE_CHECKING, Any

import pypdfium2.raw as pdfium

from doctune.documents.geometry import PageSpace

if TYPE_CHECKING:
    from PIL import Image


def draw_grey(page: Any, space: PageSpace, scale: float) -> "Image.Image":
    """Returns a page as it is shown, on white.

    Args:
        scale: Pixels a point.
    """
    from PIL import Image

    width, height = max(1, round(space.width * scale)), max(1, round(space.height * scale))
    bitmap = pdfium.FPDFBitmap_CreateEx(width, height, pdfium.FPDFBitmap_Gray, None, 0)
    try:
        pdfium.FPDFBitmap_FillRect(bitmap, 0, 0, width, height, 0xFFFFFFFF)
        pdfium.FPDF_RenderPageBitmap(bitmap, page, 0, 0, width, height, 0, pdfium.FPDF_ANNOT)
        stride = pdfium.FPDFBitmap_GetStride(bitmap)
        pixels = ctypes.string_at(pdfium.FPDFBitmap_GetBuffer(bitmap), stride * height)
    finally:
        pdfium.FPDFBitmap_Destroy(bitmap)
    return Image.frombytes("L", (width, height), pixels, "raw", "L", stride)
