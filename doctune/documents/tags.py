"""Reads the tags of a page: the order of its content, and descriptions of its figures.

A tagged PDF has a tree of elements (paragraphs, cells, figures) that name pieces of the page's
content by number. Its order is used where it covers the page and jumps up no more than the file's.
"""

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pypdfium2.raw as pdfium

from doctune.documents import foreign
from doctune.documents.geometry import PageSpace
from doctune.documents.lines import Line
from doctune.documents.model import FURNITURE, BBox
from doctune.documents.order import disorder

_MAX_ELEMENTS, _MAX_OBJECTS = 20_000, 20_000
_MAX_BYTES = 20_000  # of a description
_LEAST_SHARE = 0.95  # of a page's characters that the tags must cover


class Description(NamedTuple):
    """The text that describes a figure, and the box of the figure."""

    bbox: BBox
    text: str


@dataclass
class Tags:
    """The tags of a page.

    Attributes:
        ranks: The place of each piece of content in the order of the tags.
        described: Descriptions of figures, each with its pieces of content.
    """

    ranks: dict[int, int] = field(default_factory=dict)
    described: list[tuple[str, frozenset[int]]] = field(default_factory=list)


def read_tags(page: Any) -> Tags:
    """Reads the tags of a PDFium page; without content if it has none."""
    tags = Tags()
    tree = pdfium.FPDF_StructTree_GetForPage(page)
    if not tree:
        return tags
    try:
        count = pdfium.FPDF_StructTree_CountChildren(tree)
        roots = [pdfium.FPDF_StructTree_GetChildAtIndex(tree, place) for place in range(count)]
        _walk(roots, tags)
    finally:
        pdfium.FPDF_StructTree_Close(tree)
    return tags


def _walk(roots: Sequence[Any], tags: Tags) -> None:
    open_figures: dict[int, set[int]] = {}
    texts: dict[int, str] = {}
    # Each entry is an element or a piece of content, with the described figure around it.
    stack: list[tuple[Any, int, int]] = [(root, -1, -1) for root in reversed(roots) if root]
    for number in range(_MAX_ELEMENTS):
        if not stack:
            break
        element, content, figure = stack.pop()
        if element is None:
            tags.ranks.setdefault(content, len(tags.ranks))
            if figure >= 0:
                open_figures[figure].add(content)
            continue
        description = _description(element) if figure < 0 else ""
        if description:
            figure = number
            open_figures[figure], texts[figure] = set(), description
        children: list[tuple[Any, int, int]] = []
        for place in range(max(0, pdfium.FPDF_StructElement_CountChildren(element))):
            child = pdfium.FPDF_StructElement_GetChildAtIndex(element, place)
            content = pdfium.FPDF_StructElement_GetChildMarkedContentID(element, place)
            if child:
                children.append((child, -1, figure))
            elif content >= 0:
                children.append((None, content, figure))
        stack += reversed(children)
    tags.described = [(texts[key], frozenset(found)) for key, found in open_figures.items()]


def _description(element: Any) -> str:
    size = pdfium.FPDF_StructElement_GetAltText(element, None, 0)
    if not 2 < size <= _MAX_BYTES:
        return ""
    buffer = ctypes.create_string_buffer(size)
    pdfium.FPDF_StructElement_GetAltText(element, buffer, size)
    return " ".join(buffer.raw[: size - 2].decode("utf-16-le", "replace").split())


def find_descriptions(
    page: Any, space: PageSpace, tags: Tags, contents: Sequence[int]
) -> list[Description]:
    """Returns the descriptions of figures, each with its box.

    Args:
        contents: The pieces of content of the page's lines; what has text needs no description.
    """
    texts = set(contents)
    wanted = [(text, found) for text, found in tags.described if found and not found & texts]
    if not wanted:
        return []
    boxes: dict[int, list[BBox]] = {}
    handle, bounds = foreign.address_of(page), foreign.Floats(4)
    for place in range(min(foreign.object_count(handle), _MAX_OBJECTS)):
        item = foreign.object_at(handle, place)
        content = foreign.content_of(item)
        if content >= 0 and foreign.object_bounds(item, *bounds.addresses):
            boxes.setdefault(content, []).append(space.box(*bounds.read()))
    descriptions = []
    for text, found in wanted:
        parts = [box for content in found for box in boxes.get(content, ())]
        if parts:
            x0, y0, x1, y1 = zip(*parts, strict=True)
            box = min(x0), min(y0), max(x1), max(y1)
            descriptions.append(Description(box, text))
    return descriptions


def order_by_tags(
    lines: Sequence[Line], tags: Tags, content_of: Callable[[Line], int]
) -> list[Line] | None:
    """Returns lines in the order of the tags; None if the tags are not to be trusted."""
    ranks = [tags.ranks.get(content_of(line), -1) for line in lines]
    flow = [(line, rank) for line, rank in zip(lines, ranks, strict=True) if not line.kind]
    chars = sum(len(line.text) for line, _ in flow)
    covered = sum(len(line.text) for line, rank in flow if rank >= 0)
    if not covered or covered < _LEAST_SHARE * chars:
        return None
    # Lines without a tag, such as running headers, stay behind the line before them.
    last = -1
    keys = []
    for line, rank in zip(lines, ranks, strict=True):
        last = rank if rank >= 0 and line.kind not in FURNITURE else last
        keys.append(last)
    places = sorted(range(len(lines)), key=keys.__getitem__)
    ordered = [lines[place] for place in places]
    return ordered if disorder(ordered) <= disorder(list(lines)) else None
