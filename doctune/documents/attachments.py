"""PDFs that are attached to a PDF: attached files, pages' paper clips, portfolios."""

import base64
import ctypes
import re
from pathlib import Path
from typing import Any, NamedTuple

import pypdfium2.raw as pdfium

_MAX_ATTACHMENTS = 2_000
_MAX_NAME_BYTES = 2_000
_HEAD_BYTES = 1_024  # in which "%PDF-" is
_UNSAFE = re.compile(r"[\x00-\x1f\x7f/\\:*?\"<>|]+")


class Attachment(NamedTuple):
    """An attached PDF: a name that is safe as a file name, and its bytes."""

    name: str
    content: bytes


def attached_names(document: Any) -> tuple[str, ...]:
    """Returns the names of the files that are attached to an open document as a whole."""
    count = min(max(0, pdfium.FPDFDoc_GetAttachmentCount(document)), _MAX_ATTACHMENTS)
    return tuple(_name(pdfium.FPDFDoc_GetAttachment(document, place)) for place in range(count))


def read_attached(document: Any, most_bytes: int) -> list[Attachment]:
    """Returns the PDFs that are attached to an open document or to its pages.

    Args:
        most_bytes: Of all of them together; further ones are left out.
    """
    count = min(max(0, pdfium.FPDFDoc_GetAttachmentCount(document)), _MAX_ATTACHMENTS)
    handles = [pdfium.FPDFDoc_GetAttachment(document, place) for place in range(count)]
    found = _read(handles, most_bytes)
    for index in range(pdfium.FPDF_GetPageCount(document)):
        page = pdfium.FPDF_LoadPage(document, index)
        if page:
            clips = _clips(page)
            found += _read([file for _, file in clips], most_bytes)
            for annotation, _ in clips:
                pdfium.FPDFPage_CloseAnnot(annotation)
            pdfium.FPDF_ClosePage(page)
    unique = {attachment.content: attachment for attachment in reversed(found)}
    return [attachment for attachment in found if unique[attachment.content] is attachment]


def pack_attached(attachments: list[Attachment]) -> list[dict[str, str]]:
    """Returns attachments as JSON values."""
    return [
        {"name": name, "content": base64.b64encode(content).decode("ascii")}
        for name, content in attachments
    ]


def unpack_attached(packed: list[dict[str, str]]) -> list[Attachment]:
    """Returns the attachments that `pack_attached` packed.

    Raises:
        KeyError, TypeError, ValueError: They are invalid.
    """
    return [
        Attachment(_safe(str(found["name"])), base64.b64decode(found["content"], validate=True))
        for found in packed
    ]


def _clips(page: Any) -> list[tuple[Any, Any]]:
    """Returns the annotations of a page that hold a file, each with its file."""
    clips = []
    for place in range(min(max(0, pdfium.FPDFPage_GetAnnotCount(page)), _MAX_ATTACHMENTS)):
        annotation = pdfium.FPDFPage_GetAnnot(page, place)
        if not annotation:
            continue
        file = None
        if pdfium.FPDFAnnot_GetSubtype(annotation) == pdfium.FPDF_ANNOT_FILEATTACHMENT:
            file = pdfium.FPDFAnnot_GetFileAttachment(annotation)
        if file:
            clips.append((annotation, file))
        else:
            pdfium.FPDFPage_CloseAnnot(annotation)
    return clips


def _read(handles: list[Any], most_bytes: int) -> list[Attachment]:
    found = []
    for handle in filter(None, handles):
        size = ctypes.c_ulong(0)
        if not pdfium.FPDFAttachment_GetFile(handle, None, 0, ctypes.byref(size)):
            continue
        if not 0 < size.value <= most_bytes:
            continue
        buffer = ctypes.create_string_buffer(size.value)
        if not pdfium.FPDFAttachment_GetFile(handle, buffer, size.value, ctypes.byref(size)):
            continue
        most_bytes -= size.value
        if b"%PDF-" in buffer.raw[:_HEAD_BYTES]:
            found.append(Attachment(_safe(_name(handle)), buffer.raw))
    return found


def _name(handle: Any) -> str:
    size = pdfium.FPDFAttachment_GetName(handle, None, 0) if handle else 0
    if not 2 < size <= _MAX_NAME_BYTES:
        return "attachment"
    buffer = (ctypes.c_ushort * (size // 2 + 1))()
    pdfium.FPDFAttachment_GetName(handle, buffer, size)
    return bytes(buffer)[: size - 2].decode("utf-16-le", "replace")


def _safe(name: str) -> str:
    """Returns a name without separators of folders, as the name of a PDF."""
    stem = _UNSAFE.sub("_", Path(name).name or name).strip(". ")[:120]
    stem = stem or "attachment"
    return stem if stem.lower().endswith(".pdf") else f"{stem}.pdf"
