"""Fast ctypes prototypes for PDFium's functions.

These functions are called hundreds of times per page. In `pypdfium2.raw` they take and return typed
pointers, which costs more than the call itself. These prototypes of the same addresses use plain
integers and do not release the GIL.
"""

import ctypes
from ctypes import c_double, c_float, c_int, c_ulong, c_void_p
from struct import Struct
from typing import Any

import pypdfium2.raw as pdfium


def address_of(handle: Any) -> int:
    """Returns the address of a `pypdfium2.raw` handle."""
    return ctypes.cast(handle, c_void_p).value or 0


def _prototype(name: str, result: Any, *arguments: Any) -> Any:
    address = address_of(getattr(pdfium, name))
    return ctypes.PYFUNCTYPE(result, *arguments)(address)


char_count = _prototype("FPDFText_CountChars", c_int, c_void_p)
page_text = _prototype("FPDFText_GetText", c_int, c_void_p, c_int, c_int, c_void_p)
char_box = _prototype("FPDFText_GetLooseCharBox", c_int, c_void_p, c_int, c_void_p)
char_ink = _prototype("FPDFText_GetCharBox", c_int, c_void_p, c_int, *[c_void_p] * 4)
char_origin = _prototype("FPDFText_GetCharOrigin", c_int, c_void_p, c_int, c_void_p, c_void_p)
char_matrix = _prototype("FPDFText_GetMatrix", c_int, c_void_p, c_int, c_void_p)
char_size = _prototype("FPDFText_GetFontSize", c_double, c_void_p, c_int)
char_object = _prototype("FPDFText_GetTextObject", c_void_p, c_void_p, c_int)
char_angle = _prototype("FPDFText_GetCharAngle", c_float, c_void_p, c_int)
char_index = _prototype("FPDFText_GetCharIndexFromTextIndex", c_int, c_void_p, c_int)

text_render_mode = _prototype("FPDFTextObj_GetTextRenderMode", c_int, c_void_p)
fill_colour = _prototype(
    "FPDFPageObj_GetFillColor", c_int, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p
)
set_active = _prototype("FPDFPageObj_SetIsActive", c_int, c_void_p, c_int)
content_of = _prototype("FPDFPageObj_GetMarkedContentID", c_int, c_void_p)
mark_count = _prototype("FPDFPageObj_CountMarks", c_int, c_void_p)
mark_at = _prototype("FPDFPageObj_GetMark", c_void_p, c_void_p, c_ulong)
mark_name = _prototype("FPDFPageObjMark_GetName", c_int, c_void_p, c_void_p, c_ulong, c_void_p)
mark_value = _prototype(
    "FPDFPageObjMark_GetParamStringValue",
    *(c_int, c_void_p, ctypes.c_char_p, c_void_p, c_ulong, c_void_p),
)
path_mode = _prototype("FPDFPath_GetDrawMode", c_int, c_void_p, c_void_p, c_void_p)
has_transparency = _prototype("FPDFPageObj_HasTransparency", c_int, c_void_p)
object_font = _prototype("FPDFTextObj_GetFont", c_void_p, c_void_p)
font_name = _prototype("FPDFFont_GetBaseFontName", c_ulong, c_void_p, c_void_p, c_ulong)
font_flags = _prototype("FPDFFont_GetFlags", c_int, c_void_p)
font_weight = _prototype("FPDFFont_GetWeight", c_int, c_void_p)

object_count = _prototype("FPDFPage_CountObjects", c_int, c_void_p)
object_at = _prototype("FPDFPage_GetObject", c_void_p, c_void_p, c_int)
object_kind = _prototype("FPDFPageObj_GetType", c_int, c_void_p)
object_bounds = _prototype(
    "FPDFPageObj_GetBounds", c_int, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p
)
object_matrix = _prototype("FPDFPageObj_GetMatrix", c_int, c_void_p, c_void_p)
form_object_count = _prototype("FPDFFormObj_CountObjects", c_int, c_void_p)
form_object_at = _prototype("FPDFFormObj_GetObject", c_void_p, c_void_p, c_ulong)
annotation_count = _prototype("FPDFPage_GetAnnotCount", c_int, c_void_p)
annotation_at = _prototype("FPDFPage_GetAnnot", c_void_p, c_void_p, c_int)
annotation_kind = _prototype("FPDFAnnot_GetSubtype", c_int, c_void_p)
annotation_rect = _prototype("FPDFAnnot_GetRect", c_int, c_void_p, c_void_p)
annotation_text = _prototype(
    "FPDFAnnot_GetStringValue", c_ulong, c_void_p, ctypes.c_char_p, c_void_p, c_ulong
)
annotation_appearance = _prototype("FPDFAnnot_GetAP", c_ulong, c_void_p, c_int, c_void_p, c_ulong)
close_annotation = _prototype("FPDFPage_CloseAnnot", None, c_void_p)
next_link = _prototype("FPDFLink_Enumerate", c_int, c_void_p, c_void_p, c_void_p)
link_action = _prototype("FPDFLink_GetAction", c_void_p, c_void_p)
action_kind = _prototype("FPDFAction_GetType", c_ulong, c_void_p)
action_address = _prototype("FPDFAction_GetURIPath", c_ulong, c_void_p, c_void_p, c_void_p, c_ulong)
link_rect = _prototype("FPDFLink_GetAnnotRect", c_int, c_void_p, c_void_p)
segment_count = _prototype("FPDFPath_CountSegments", c_int, c_void_p)
segment_at = _prototype("FPDFPath_GetPathSegment", c_void_p, c_void_p, c_int)
segment_kind = _prototype("FPDFPathSegment_GetType", c_int, c_void_p)
segment_point = _prototype("FPDFPathSegment_GetPoint", c_int, c_void_p, c_void_p, c_void_p)


_text_room = ctypes.create_string_buffer(1 << 16)


def room_for_text(units: int) -> int:
    """Returns the address of a buffer for UTF-16 units; the next call may return the same one."""
    global _text_room
    if 2 * units > len(_text_room):
        _text_room = ctypes.create_string_buffer(4 * units)
    return ctypes.addressof(_text_room)


# How a text object is painted, as bit flags.
INVISIBLE, WHITE = 1, 2
PAPER, LEAST_ALPHA = 245, 8  # of 255
_colour = (ctypes.c_uint * 4)()
_colour_addresses = tuple(ctypes.addressof(_colour) + 4 * index for index in range(4))


def style_of(item: int) -> int:
    """Returns whether an object's text is invisible, and whether it is white or transparent."""
    invisible = text_render_mode(item) == pdfium.FPDF_TEXTRENDERMODE_INVISIBLE
    return (INVISIBLE if invisible else 0) | (WHITE if is_white(item) else 0)


_mode, _stroke = c_int(0), c_int(0)
_mode_addresses = ctypes.addressof(_mode), ctypes.addressof(_stroke)


def is_filled(path: int) -> bool:
    """Returns whether a path is filled."""
    return bool(path_mode(path, *_mode_addresses)) and _mode.value != 0


def colour_of(item: int) -> tuple[int, int, int, int] | None:
    """Returns the red, green, blue and alpha of an object's fill, of 255; None if unknown."""
    if not fill_colour(item, *_colour_addresses):
        return None
    red, green, blue, alpha = _colour
    return red, green, blue, alpha


def is_white(item: int) -> bool:
    """Returns whether an object's fill is white or transparent."""
    if not fill_colour(item, *_colour_addresses):
        return False
    red, green, blue, alpha = _colour
    return min(red, green, blue) >= PAPER or alpha < LEAST_ALPHA


class Floats:
    """A buffer for floats: PDFium fills `address`, `read()` returns them as a tuple.

    In hot loops, `unpack(buffer)` saves a call.
    """

    __slots__ = ("address", "addresses", "buffer", "unpack")

    def __init__(self, count: int) -> None:
        self.buffer = (c_float * count)()
        self.address = ctypes.addressof(self.buffer)
        self.addresses = tuple(self.address + 4 * index for index in range(count))
        self.unpack = Struct(f"{count}f").unpack_from

    def read(self) -> tuple[float, ...]:
        return self.unpack(self.buffer)


class Doubles:
    """A buffer for doubles, as Floats."""

    __slots__ = ("addresses", "buffer", "unpack")

    def __init__(self, count: int) -> None:
        self.buffer = (c_double * count)()
        address = ctypes.addressof(self.buffer)
        self.addresses = tuple(address + 8 * index for index in range(count))
        self.unpack = Struct(f"{count}d").unpack_from

    def read(self) -> tuple[float, ...]:
        return self.unpack(self.buffer)
