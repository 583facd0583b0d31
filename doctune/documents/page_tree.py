"""Flattens page trees that are nested too deeply for PDFium.

PDFium follows about a thousand levels and loads no page below them. pypdf reads the same file, and
its pages are then listed directly under the root of a copy, in memory.
"""

from io import BytesIO
from pathlib import Path
from typing import Any

_LEAST_DEPTH = 500  # levels that PDFium surely follows
_MAX_NODES = 1_000_000
_INHERITED = ("/Resources", "/MediaBox", "/CropBox", "/Rotate")


def flatten_page_tree(path: Path, password: str | None) -> bytes | None:
    """Returns a copy of a file with a flat page tree; None if its tree is not deep or damaged."""
    from pypdf import PageObject, PdfReader, PdfWriter  # few files need it

    try:
        reader = PdfReader(path, password=password)
        writer = PdfWriter()
        pages = _leaves(reader.root_object.raw_get("/Pages"))
        for reference, attributes in pages:
            page = PageObject(reader, reference)
            page.update(attributes)
            writer.add_page(page)
        flat = BytesIO()
        writer.write(flat)
    except MemoryError:
        raise
    except Exception:  # pypdf raises many kinds for damaged files
        return None
    return flat.getvalue() if pages else None


def _leaves(root: Any) -> list[tuple[Any, dict[Any, Any]]]:
    """Returns the pages under a node, each with its attributes; empty for a shallow tree."""
    leaves = []
    deepest = 0
    seen: set[int] = set()
    stack: list[tuple[Any, int, dict[Any, Any]]] = [(root, 0, {})]
    while stack and len(seen) < _MAX_NODES:
        reference, depth, inherited = stack.pop()
        if reference.idnum in seen:
            continue  # a loop
        seen.add(reference.idnum)
        deepest = max(deepest, depth)
        node = reference.get_object()
        inherited = inherited | {key: node.raw_get(key) for key in _INHERITED if key in node}
        if "/Kids" in node:
            stack += [(kid, depth + 1, inherited) for kid in reversed(node["/Kids"])]
        else:
            own = {key: node.raw_get(key) for key in node if key != "/Parent"}
            leaves.append((reference, {**own, **inherited}))
    return leaves if deepest >= _LEAST_DEPTH else []
