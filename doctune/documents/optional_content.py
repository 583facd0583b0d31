"""Finds optional content (layers) that a page does not show, as PDFium renders it.

The settings of layers nest (membership, expressions, usage), so the rendering decides: what changes
nothing in it when it is left out is off. PDFium's text page has the text of all layers, mixed where
one is over another, so hidden objects are deactivated before it is read.
"""

import ctypes
import mmap
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pypdfium2.raw as pdfium

from doctune.documents import foreign
from doctune.documents.geometry import PageSpace

_KEY = b"/OCProperties"
_OBJECT_STREAM = b"/ObjStm"
_ROOT = re.compile(rb"/Root\s+(\d+)\s+\d+\s+R")
_HEADER_BYTES, _MAX_STREAM_BYTES = 4_096, 4 << 20
_SEARCHED_BYTES = 1 << 18  # at once
_MAX_GROUPS = 24  # of a page; each costs a rendering
_MAX_OBJECTS, _MAX_DEPTH = 20_000, 6
_SCALE, _MOST_PIXELS = 1.0, 1_000_000
_NAME_BYTES = 256


def has_optional_content(path: Path) -> bool:
    """Returns whether a file declares layers, in its catalog or in a compressed one."""
    with path.open("rb") as file:
        try:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError):
            return False
        with content:
            # The root is named in the last kilobytes, or in the first ones of a linearized file.
            ends = content[: 2 * _HEADER_BYTES], content[-8 * _HEADER_BYTES :]
            roots = {int(number) for end in ends for number in _ROOT.findall(end)}
            left, after = set(roots), 0
            for place in _streams(content):
                held, declares = _catalogs(content, place, roots)
                if declares:
                    return True
                left -= held
                if held and not left:
                    # All catalogs are known, but for later versions in plain text.
                    after = place
                    break
            return _find(content, _KEY, after) >= 0


def _streams(content: mmap.mmap) -> Iterator[int]:
    """Yields the positions of object streams from the last, which mostly has the catalog."""
    for start in reversed(range(0, len(content), _SEARCHED_BYTES)):
        part = content[start : start + _SEARCHED_BYTES + len(_OBJECT_STREAM) - 1]
        place = part.rfind(_OBJECT_STREAM)
        while place >= 0:
            yield start + place
            place = part.rfind(_OBJECT_STREAM, 0, place)


def _find(content: mmap.mmap, key: bytes, begin: int) -> int:
    """Returns the first position of a key; mmap's own search compares byte by byte."""
    for start in range(begin, len(content), _SEARCHED_BYTES):
        place = content[start : start + _SEARCHED_BYTES + len(key) - 1].find(key)
        if place >= 0:
            return start + place
    return -1


def _catalogs(content: mmap.mmap, place: int, roots: set[int]) -> tuple[set[int], bool]:
    """Returns the numbers of the catalogs in an object stream, and whether one has layers."""
    begin = content.find(b"stream", place, place + _HEADER_BYTES)
    if begin < 0:
        return set(), False
    begin += len(b"stream")
    while content[begin : begin + 1] in (b"\r", b"\n"):
        begin += 1
    end = content.find(b"endstream", begin)
    packed = content[begin : end if end > 0 else begin + _MAX_STREAM_BYTES]
    try:
        unpacker = zlib.decompressobj()
        head = unpacker.decompress(packed, _HEADER_BYTES)
        # The stream begins with pairs of numbers: an object and its offset.
        numbers = set(map(int, re.match(rb"[\d\s]*", head)[0].split()[::2]))  # type: ignore[index]
        if not roots & numbers:
            return set(), False
        rest = unpacker.decompress(unpacker.unconsumed_tail, _MAX_STREAM_BYTES)
        return roots & numbers, _KEY in head + rest
    except zlib.error:
        return set(), False


def hide_optional_content(page: Any, space: PageSpace) -> int:
    """Deactivates text that is in layers which are off; returns the number of its characters."""
    groups = _groups(foreign.address_of(page))
    if not groups:
        return 0
    from doctune.documents.raster import draw_grey, fitting_scale

    scale = fitting_scale(space, _SCALE, _MOST_PIXELS)
    whole = draw_grey(page, space, scale).tobytes()
    before = _count(page)
    hidden: list[int] = []
    for group in groups:
        _set_active(group, 0)
        if draw_grey(page, space, scale).tobytes() == whole:
            hidden += group
        else:
            _set_active(group, 1)
    return before - _count(page) if hidden else 0


def _groups(page: int) -> list[list[int]]:
    """Returns the objects that may be off together: those of one layer, and each form."""
    named: dict[str, list[int]] = {}
    forms: list[list[int]] = []
    items = [
        foreign.object_at(page, place)
        for place in range(min(foreign.object_count(page), _MAX_OBJECTS))
    ]
    for item in items:
        layer = _layer_of(item)
        if layer is not None:
            named.setdefault(layer, []).append(item)
        elif foreign.object_kind(item) == pdfium.FPDF_PAGEOBJ_FORM and _has_text(item, 0):
            # Whether the form itself is in a layer cannot be asked of PDFium.
            forms.append([item])
    groups = [group for group in named.values() if any(_has_visible(item) for item in group)]
    return [*groups, *forms][:_MAX_GROUPS]


def _layer_of(item: int) -> str | None:
    """Returns the name of the layer that an object is in; None if it is in none."""
    for place in range(max(0, foreign.mark_count(item))):
        mark = foreign.mark_at(item, place)
        if mark and _mark_text(foreign.mark_name, mark) == "OC":
            return _mark_text(foreign.mark_value, mark, b"Name")
    return None


def _mark_text(ask: Any, mark: int, *key: bytes) -> str:
    buffer, length = ctypes.create_string_buffer(_NAME_BYTES), ctypes.c_ulong(0)
    place = ctypes.addressof(buffer)
    if not ask(mark, *key, place, _NAME_BYTES, ctypes.addressof(length)):
        return ""
    return buffer.raw[: max(0, length.value - 2)].decode("utf-16-le", "replace")


def _has_text(form: int, depth: int) -> bool:
    for place in range(min(max(0, foreign.form_object_count(form)), _MAX_OBJECTS)):
        item = foreign.form_object_at(form, place)
        kind = foreign.object_kind(item)
        if kind == pdfium.FPDF_PAGEOBJ_TEXT and _has_visible(item):
            return True
        if kind == pdfium.FPDF_PAGEOBJ_FORM and depth < _MAX_DEPTH and _has_text(item, depth + 1):
            return True
    return False


def _has_visible(item: int) -> bool:
    """Returns whether an object would be seen, unlike the text layer of a scan."""
    if foreign.object_kind(item) != pdfium.FPDF_PAGEOBJ_TEXT:
        return True
    return not foreign.style_of(item) & foreign.INVISIBLE


def _set_active(items: list[int], active: int) -> None:
    for item in items:
        foreign.set_active(item, active)


def _count(page: Any) -> int:
    """Returns the number of characters in PDFium's text of a page, without white space."""
    text_page = pdfium.FPDFText_LoadPage(page)
    handle = foreign.address_of(text_page)
    if not handle:
        return 0
    try:
        count = max(0, foreign.char_count(handle))
        buffer = foreign.room_for_text(count + 1)
        written = foreign.page_text(handle, 0, count, buffer) if count else 0
        text = ctypes.string_at(buffer, 2 * max(0, written - 1)).decode("utf-16-le", "replace")
        return len("".join(text.split()))
    finally:
        pdfium.FPDFText_ClosePage(text_page)
