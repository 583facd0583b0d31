"""Annotations: links, and text that is only in form fields, notes and stamps.

Their text is drawn by annotations, which PDFium's text page leaves out. They are flattened into the
page's content, in memory, so that they are read like other text.
"""

import ctypes
from collections.abc import Sequence
from typing import Any, NamedTuple

import pypdfium2.raw as pdfium

from doctune.documents import foreign
from doctune.documents.geometry import PageSpace
from doctune.documents.lines import Line
from doctune.documents.model import BBox

_MAX_ANNOTATIONS = 2_000
_MAX_ADDRESS = 4_096
_DRAWN = frozenset({pdfium.FPDF_ANNOT_WIDGET, pdfium.FPDF_ANNOT_FREETEXT, pdfium.FPDF_ANNOT_STAMP})
_EMPTY = 2  # bytes of an empty string
_LABEL_GAP = 160.0  # points, between a field and its label
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


class Field(NamedTuple):
    """A form field that draws no text: a check box, or a value without an appearance stream.

    Attributes:
        text: "[x]" or "[ ]" of a check box, placed before its label; any other text, placed after.
    """

    bbox: BBox
    text: str

    @property
    def is_box(self) -> bool:
        return self.text in ("[x]", "[ ]")


def read_fields(page: Any, space: PageSpace) -> list[Field]:
    """Reads the form fields of a page whose state or value flattening does not turn into text."""
    handle = foreign.address_of(page)
    rect, found = foreign.Floats(4), []
    for index in range(min(foreign.annotation_count(handle), _MAX_ANNOTATIONS)):
        annotation = foreign.annotation_at(handle, index)
        if not annotation:
            continue
        if foreign.annotation_kind(annotation) == pdfium.FPDF_ANNOT_WIDGET:
            state = _value(annotation, b"AS")
            text = ("[ ]" if state == "Off" else "[x]") if state else ""
            # PDFium's normal appearance is 0; two bytes are an empty string.
            if not text and foreign.annotation_appearance(annotation, 0, None, 0) <= _EMPTY:
                text = " ".join(_value(annotation, b"V").split())
            if text and foreign.annotation_rect(annotation, rect.address):
                x0, y0, x1, y1 = rect.read()
                box = space.box(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
                found.append(Field(box, text))
        foreign.close_annotation(annotation)
    return found


def _value(annotation: int, key: bytes) -> str:
    size = foreign.annotation_text(annotation, key, None, 0)
    if not _EMPTY < size <= _MAX_ADDRESS:
        return ""
    buffer = ctypes.create_string_buffer(size)
    foreign.annotation_text(annotation, key, ctypes.addressof(buffer), size)
    return buffer.raw[: size - _EMPTY].decode("utf-16-le", "replace")


def write_fields(lines: Sequence[Line], fields: Sequence[Field]) -> None:
    """Inserts the state or the value of fields into the lines that are their labels."""
    for field in fields:
        x0, y0, x1, y1 = field.bbox
        row = [line for line in lines if not line.turn and line.y0 < y1 and line.y1 > y0]
        after = [line for line in row if -2 <= line.x0 - x1 <= _LABEL_GAP]
        before = [line for line in row if -2 <= x0 - line.x1 <= _LABEL_GAP]
        if field.is_box and after:
            label = min(after, key=lambda line: line.x0)
            label.text = f"{field.text} {label.text}"
        elif before:
            label = max(before, key=lambda line: line.x1)
            label.text = (
                f"{field.text} {label.text}" if field.is_box else f"{label.text} {field.text}"
            )


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
    buffer = ctypes.create_string_buffer(size)
    foreign.action_address(file, action, ctypes.addressof(buffer), size)
    return buffer.value.decode("utf-8", "replace").strip()
