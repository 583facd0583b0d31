"""PDFs written object by object, to be as wrong as a test wants them."""

import zlib
from pathlib import Path


def write_raw(path: Path, objects: dict[int, bytes], trailer: bytes = b"") -> Path:
    """Writes objects with a right cross-reference table; object 1 is the catalog."""
    out = bytearray(b"%PDF-1.7\n")
    offsets = {}
    for number, body in sorted(objects.items()):
        offsets[number] = len(out)
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    size = max(objects) + 1
    out += b"xref\n0 %d\n0000000000 65535 f \n" % size
    for number in range(1, size):
        out += b"%010d 00000 %s \n" % (
            offsets.get(number, 0),
            b"n" if number in offsets else b"f",
        )
    out += b"trailer\n<< /Size %d /Root 1 0 R %s >>\nstartxref\n%d\n%%%%EOF\n" % (
        size,
        trailer,
        start,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(out)
    return path


def stream(content: bytes, entries: bytes = b"", *, packed: bool = False) -> bytes:
    """Returns a stream object; `packed` content is deflated already."""
    flate = b" /Filter /FlateDecode" if packed else b""
    return b"<< /Length %d%s %s >>\nstream\n%s\nendstream" % (
        len(content),
        flate,
        entries,
        content,
    )


def one_page(content: bytes, *, resources: bytes = b"", page: bytes = b"") -> dict[int, bytes]:
    """Returns the objects of a file of one page with a content stream (4) and Helvetica as /F1."""
    return {
        1: b"<< /Type /Catalog /Pages 2 0 R >>",
        2: b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        3: b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> %s >> %s >>" % (resources, page),
        4: content,
        5: b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    }


def zeros_packed(mebibytes: int) -> bytes:
    """Deflated spaces: a thousandth of what they unpack to."""
    packer = zlib.compressobj(9)
    chunk = b" " * (1 << 20)
    return b"".join(packer.compress(chunk) for _ in range(mebibytes)) + packer.flush()


def write_book(path: Path, count: int, name: str) -> Path:
    """Writes a file of many pages, each with forty lines of its own that name the book."""
    kids = b" ".join(b"%d 0 R" % (4 + 2 * number) for number in range(count))
    objects = {
        1: b"<< /Type /Catalog /Pages 2 0 R >>",
        2: b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, count),
        3: b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    }
    for number in range(count):
        page, content = 4 + 2 * number, 5 + 2 * number
        lines = b" ".join(
            b"(In %s the pump %d of hall %d runs well.) Tj 0 -16 Td" % (name.encode(), row, number)
            for row in range(40)
        )
        objects[page] = (
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R "
            b"/Resources << /Font << /F1 3 0 R >> >> >>" % content
        )
        objects[content] = stream(b"BT /F1 10 Tf 72 740 Td %s ET" % lines)
    return write_raw(path, objects)
