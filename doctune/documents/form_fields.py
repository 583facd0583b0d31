"""Form fields whose value no text shows: check boxes, radio buttons, values that nothing draws."""

import ctypes
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import pypdfium2.raw as pdfium

from doctune.documents import foreign
from doctune.documents.geometry import PageSpace
from doctune.documents.lines import Line, PageText
from doctune.documents.model import BBox

_MAX_FIELDS, _MAX_BYTES = 2_000, 65_536
_EMPTY = 2  # bytes of an empty string
_LABEL_GAP = 160.0  # points, between a field and its label
_SLACK = 2.0  # points
_LINE_HEIGHT = 1.3  # em
_LEAST_SIZE, _MOST_SIZE = 6.0, 12.0  # points, of the text of a field that nothing draws
_BOXES = frozenset({pdfium.FPDF_FORMFIELD_CHECKBOX, pdfium.FPDF_FORMFIELD_RADIOBUTTON})
_SILENT = frozenset({pdfium.FPDF_FORMFIELD_PUSHBUTTON, pdfium.FPDF_FORMFIELD_SIGNATURE})
_TOKEN = re.compile(r"\S+")
_ON, _OFF = "[x]", "[ ]"


class Field(NamedTuple):
    """A form field with a state or a value.

    Attributes:
        text: "[x]" or "[ ]" of a box, placed before its label; any other text, placed after.
        drawn: Whether the page has its text as lines, which come last in the file.
    """

    bbox: BBox
    text: str
    drawn: bool = False

    @property
    def is_box(self) -> bool:
        return self.text in (_ON, _OFF)


class Forms:
    """PDFium's forms of an open document, which know what fields inherit."""

    def __init__(self, document: Any) -> None:
        self._information = pdfium.FPDF_FORMFILLINFO(version=2)  # PDFium keeps its address
        self._handle = pdfium.FPDFDOC_InitFormFillEnvironment(document, self._information)

    def close(self) -> None:
        """Must be called before the document is closed."""
        if self._handle:
            pdfium.FPDFDOC_ExitFormFillEnvironment(self._handle)
        self._handle = None

    def read(self, page: Any, space: PageSpace) -> list[Field]:
        """Reads the fields of a page that have a state or a value."""
        rect, found = foreign.Floats(4), []
        count = min(max(0, pdfium.FPDFPage_GetAnnotCount(page)), _MAX_FIELDS)
        for index in range(count):
            annotation = pdfium.FPDFPage_GetAnnot(page, index)
            if not annotation:
                continue
            if pdfium.FPDFAnnot_GetSubtype(annotation) == pdfium.FPDF_ANNOT_WIDGET:
                text = self._text(annotation)
                address = foreign.address_of(annotation)
                if text and foreign.annotation_rect(address, rect.address):
                    x0, y0, x1, y1 = rect.read()
                    box = space.box(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
                    # PDFium's normal appearance is 0; two bytes are an empty string.
                    drawn = foreign.annotation_appearance(address, 0, None, 0) > _EMPTY
                    found.append(Field(box, text, drawn and text not in (_ON, _OFF)))
            pdfium.FPDFPage_CloseAnnot(annotation)
        return found

    def _text(self, annotation: Any) -> str:
        kind = pdfium.FPDFAnnot_GetFormFieldType(self._handle, annotation) if self._handle else -1
        if kind in _SILENT:
            return ""
        address = foreign.address_of(annotation)
        state = _entry(address, b"AS")
        if state or kind in _BOXES or _entry(address, b"FT") == "Btn":
            on = state or _entry(address, b"V")
            checked = bool(on) and on != "Off"
            if not state and kind in _BOXES:
                checked = bool(pdfium.FPDFAnnot_IsChecked(self._handle, annotation)) or checked
            return _ON if checked else _OFF
        value = _entry(address, b"V")
        if not value and self._handle:
            value = _decoded(
                lambda buffer, size: pdfium.FPDFAnnot_GetFormFieldValue(
                    self._handle, annotation, buffer, size
                )
            )
        return " ".join(value.split())


def _entry(annotation: int, key: bytes) -> str:
    return _decoded(
        lambda buffer, size: foreign.annotation_text(
            annotation, key, ctypes.addressof(buffer) if buffer else None, size
        )
    )


def _decoded(ask: Any) -> str:
    size = ask(None, 0)
    if not _EMPTY < size <= _MAX_BYTES:
        return ""
    buffer = (ctypes.c_ushort * (size // 2 + 1))()
    ask(buffer, size)
    return bytes(buffer)[: size - _EMPTY].decode("utf-16-le", "replace")


def write_fields(lines: list[Line], fields: Sequence[Field], text: PageText) -> list[Line]:
    """Returns lines with the state and the value of fields: at their labels, or on their own."""
    inserted: dict[int, list[tuple[int, str]]] = {}
    alone: list[Field] = []
    drawn = {field: _lines_of(field, lines) for field in fields if field.drawn}
    fields = [field for field in fields if drawn.get(field, True)]
    gone = {id(line) for found in drawn.values() for line in found}
    lines = [line for line in lines if id(line) not in gone]
    for field in fields:
        place = _label_of(field, lines, text)
        if place is None:
            alone.append(field)
        else:
            number, token = place
            inserted.setdefault(number, []).append((token, field.text))
    for number, insertions in inserted.items():
        line = lines[number]
        starts = [match.start() for match in _TOKEN.finditer(line.text)]
        # From the right, so that places stay valid.
        for token, part in sorted(insertions, reverse=True):
            if token < len(starts):
                at = starts[token]
                line.text = f"{line.text[:at]}{part} {line.text[at:]}"
            else:
                line.text = f"{line.text} {part}"
    for field in alone:
        lines = _with_line(lines, field)
    return lines


def _lines_of(field: Field, lines: Sequence[Line]) -> list[Line]:
    """Returns the lines that show the value of a field; none if others stand there, too."""
    x0, y0, x1, y1 = field.bbox
    inside = [
        line
        for line in lines
        if x0 - _SLACK <= line.x0
        and line.x1 <= x1 + _SLACK
        and y0 - _SLACK <= (line.y0 + line.y1) / 2 <= y1 + _SLACK
    ]
    shown = "".join("".join(line.text.split()) for line in inside)
    return inside if shown == "".join(field.text.split()) else []


def _label_of(field: Field, lines: Sequence[Line], text: PageText) -> tuple[int, int] | None:
    """Returns the line of a field's label, and the number of the word before which it belongs."""
    x0, y0, x1, y1 = field.bbox
    best: tuple[float, int, int] | None = None
    for number, line in enumerate(lines):
        middle = (line.y0 + line.y1) / 2
        if line.turn or not (y0 - _SLACK < middle < y1 + _SLACK):
            continue
        words = text.words(line)
        if len(words) != len(line.text.split()):
            words = []
        spots = [(word.x0, word.x1) for word in words] or [(line.x0, line.x1)]
        for token, (left, right) in enumerate(spots):
            after, before = left - x1, x0 - right
            if field.is_box and -_SLACK <= after <= _LABEL_GAP:
                found = (after, number, token)
            elif -_SLACK <= before <= _LABEL_GAP:
                # A box belongs to the label behind it, if there is one.
                far = before + (_LABEL_GAP if field.is_box else 0.0)
                found = (far, number, 0 if field.is_box else token + 1)
            else:
                continue
            if best is None or found < best:
                best = found
    return None if best is None else best[1:]


def _with_line(lines: list[Line], field: Field) -> list[Line]:
    """Returns lines with one for a field that has no label beside it."""
    x0, y0, x1, y1 = field.bbox
    line = Line(field.text, 0, False)
    line.spans = [("", 0)]
    line.size = min(max((y1 - y0) / _LINE_HEIGHT, _LEAST_SIZE), _MOST_SIZE)
    line.x0, line.y0, line.x1, line.y1 = x0, y0, x1, min(y1, y0 + _LINE_HEIGHT * line.size)
    above = [
        place
        for place, other in enumerate(lines, 1)
        if other.y0 < y0 and other.x0 < x1 and other.x1 > x0
    ]
    place = max(above, default=0)
    return [*lines[:place], line, *lines[place:]]
