"""Annotations: links, and text that is only in form fields, notes and stamps.

Their text is drawn by annotations, which PDFium's text page leaves out. They are flattened into the
page's content, in memory, so that they are read like other text.
"""

import ctypes
from typing import Any, NamedTuple

import pypdfium2.raw as pdfium

from doctune.documents import foreign
from doctune.documents.geometry import PageSpace
from doctune.documents.model import BBox

_MAX_ANNOTATIONS = 2_000
_MAX_ADDRESS = 4_096
_DRAWN = frozenset({pdfium.FPDF_ANNOT_WIDGET, pdfium.FPDF_ANNOT_FREETEXT, pdfium.FPDF_ANNOT_STAMP})
_FLATTENED = 1  # of PDFium's FLATTEN_ results: the page was changed


class Link(NamedTuple):
    """The box of a link on the page as it is shown, and its target address."""

    bbox: BBox
    address: str


def has_drawn(page: Any) -> bool:
    """Returns whether a page has annotations with text."""
    handle = foreign.address_of(page)
    count = min(foreign.annotation_count(handle), _MAX_ANNOTATIONS)
    return any(_is_drawn(handle, index) for index in range(count))


def flatten(page: Any) -> bool:
    """Flattens annotations with text into the page; returns whether it must be reloaded.

    All other annotations are lost, so read links first.
    """
    return bool(pdfium.FPDFPage_Flatten(page, pdfium.FLAT_NORMALDISPLAY) == _FLATTENED)


def _is_drawn(page: int, index: int) -> bool:
    annotation = foreign.annotation_at(page, index)
    if not annotation:
        return False
    kind = foreign.annotation_kind(annotation)
    foreign.close_annotation(annotation)
    return kind in _DRAWN


def read_links(document: Any, page: Any, space: PageSpace) -> list[Link]:
    """Returns the links of a page to addresses outside the file, in the file's order."""
    handle = foreign.address_of(page)
    if foreign.annotation_count(handle) < 1:
        return []
    file = foreign.address_of(document)
    links: list[Link] = []
    position, link, rect = ctypes.c_int(0), ctypes.c_void_p(), foreign.Floats(4)
    position_at, link_at = ctypes.addressof(position), ctypes.addressof(link)
    for _ in range(_MAX_ANNOTATIONS):
        if not foreign.next_link(handle, position_at, link_at):
            break
        action = foreign.link_action(link.value)
        if not action or foreign.action_kind(action) != pdfium.PDFACTION_URI:
            continue
        address = _address(file, action)
        if address and foreign.link_rect(link.value, rect.address):
            # PDFium gives left, top, right and bottom.
            x0, y0, x1, y1 = rect.read()
            box = space.box(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
            links.append(Link(box, address))
    return links


def _address(file: int, action: int) -> str:
    size = foreign.action_address(file, action, None, 0)
    if not 1 < size <= _MAX_ADDRESS:
        return ""
    buffer = foreign.room_for_text(_MAX_ADDRESS)
    foreign.action_address(file, action, buffer, size)
    return ctypes.string_at(buffer).decode("utf-8", "replace").strip()
