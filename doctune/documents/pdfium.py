"""Opens PDFs with PDFium: pages, metadata, outline, and errors.

PDFium is not thread-safe: use it from one thread of a process.
"""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pypdfium2.raw as pdfium

from doctune.documents import foreign
from doctune.documents.annotations import Link, flatten, has_drawn, read_links
from doctune.documents.attachments import Attachment, attached_names, read_attached
from doctune.documents.errors import PdfError
from doctune.documents.form_fields import Field, Forms
from doctune.documents.geometry import PageSpace, page_space
from doctune.documents.optional_content import has_optional_content

_METADATA_KEYS = ("Title", "Author", "Subject", "Keywords", "Creator", "Producer", "CreationDate")
_MAX_OUTLINE_ENTRIES = 20_000
_MAX_OUTLINE_DEPTH = 12
_ERROR_PASSWORD, _ERROR_SECURITY = 4, 5


class OutlineEntry(NamedTuple):
    """A bookmark: its depth from 1, its title, its target page (from 1; 0 if unknown)."""

    level: int
    title: str
    page: int


class PdfFile:
    """An open PDF. Use it as a context manager."""

    def __init__(self, path: Path, password: str | None = None) -> None:
        """Opens the file.

        Raises:
            PdfError: It cannot be read; the message says why and how to fix it.
        """
        _check_readable(path)
        self._path, self._password = path, password
        secret = None if password is None else password.encode()
        self._document = pdfium.FPDF_LoadDocument(os.fsencode(path), secret)
        if not self._document:
            raise _explain_failure(path, pdfium.FPDF_GetLastError(), password)
        # Whether annotations of the last page from `page` were flattened.
        self.has_fields = False
        self.fields: list[Field] = []
        self._links: list[Link] | None = None
        self._forms: Forms | None = None
        self._flat: bytes | None = None  # the file with a flat page tree, if PDFium needs it
        self.page_count: int = pdfium.FPDF_GetPageCount(self._document)

    def __enter__(self) -> "PdfFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._close_forms()
        pdfium.FPDF_CloseDocument(self._document)

    def _close_forms(self) -> None:
        if self._forms:
            self._forms.close()
        self._forms = None

    @contextmanager
    def page(self, index: int) -> Iterator[Any]:
        """Yields the raw handle of the page at `index` (from 0), or None if it cannot be loaded."""
        page = pdfium.FPDF_LoadPage(self._document, index) or self._load_deep(index)
        self.has_fields, self._links, self.fields = False, None, []
        if page and has_drawn(page):
            # Flattening removes the links, too.
            self._links = read_links(self._document, page, page_space(page))
            self._forms = self._forms or Forms(self._document)
            self.fields = self._forms.read(page, page_space(page))
            self.has_fields = flatten(page)
        if self.has_fields:
            pdfium.FPDF_ClosePage(page)
            page = pdfium.FPDF_LoadPage(self._document, index)
        try:
            yield page or None
        finally:
            if page:
                pdfium.FPDF_ClosePage(page)

    def _load_deep(self, index: int) -> Any:
        """Loads a page that is nested too deeply for PDFium; None if that is not the reason."""
        if self._flat is not None:
            return None
        from doctune.documents.page_tree import flatten_page_tree

        self._flat = flatten_page_tree(self._path, self._password) or b""
        flat = pdfium.FPDF_LoadMemDocument64(self._flat, len(self._flat), None)
        if not flat:
            return None
        self._close_forms()
        pdfium.FPDF_CloseDocument(self._document)
        self._document = flat
        return pdfium.FPDF_LoadPage(flat, index)

    def links(self, page: Any, space: PageSpace) -> list[Link]:
        """Returns the external links of a page from `page`."""
        if self._links is not None:
            return self._links
        return read_links(self._document, page, space)

    @cached_property
    def attached(self) -> tuple[str, ...]:
        """The names of the files that are attached to it."""
        return attached_names(self._document)

    def read_attached(self, most_bytes: int) -> list[Attachment]:
        """Returns the attached PDFs, up to a total size."""
        return read_attached(self._document, most_bytes)

    @cached_property
    def is_tagged(self) -> bool:
        """Whether the file says that its content is tagged."""
        return bool(pdfium.FPDFCatalog_IsTagged(self._document))

    @cached_property
    def has_layers(self) -> bool:
        """Whether the file declares optional content, which may be off."""
        return has_optional_content(self._path)

    @cached_property
    def made_by_tex(self) -> bool:
        """Whether the file's metadata says that TeX made it."""
        metadata = self.metadata
        return any("tex" in metadata.get(key, "").lower() for key in ("creator", "producer")) or (
            "ghostscript" in metadata.get("producer", "").lower()
        )

    @cached_property
    def metadata(self) -> dict[str, str]:
        """Returns the file's metadata, without empty values."""
        found = {}
        for key in _METADATA_KEYS:
            name = key.encode()
            value = _utf16(lambda b, n, k=name: pdfium.FPDF_GetMetaText(self._document, k, b, n))
            if value.strip():
                found[key.lower()] = value.strip()
        return found

    @cached_property
    def outline(self) -> list[OutlineEntry]:
        """Returns the bookmarks in order, up to a limit."""
        entries: list[OutlineEntry] = []
        # In some files the bookmarks form a loop.
        seen: set[int] = set()
        stack = [(pdfium.FPDFBookmark_GetFirstChild(self._document, None), 1)]
        while stack and len(entries) < _MAX_OUTLINE_ENTRIES:
            bookmark, level = stack.pop()
            address = foreign.address_of(bookmark) if bookmark else 0
            if not address or address in seen:
                continue
            seen.add(address)
            title = _utf16(lambda b, n, m=bookmark: pdfium.FPDFBookmark_GetTitle(m, b, n))
            target = pdfium.FPDFBookmark_GetDest(self._document, bookmark)
            page = pdfium.FPDFDest_GetDestPageIndex(self._document, target) + 1 if target else 0
            entries.append(OutlineEntry(level, " ".join(title.split()), max(0, page)))
            stack.append((pdfium.FPDFBookmark_GetNextSibling(self._document, bookmark), level))
            if level < _MAX_OUTLINE_DEPTH:
                child = pdfium.FPDFBookmark_GetFirstChild(self._document, bookmark)
                stack.append((child, level + 1))
        return entries


def _utf16(read: Any, unit: int = 2) -> str:
    """Calls a PDFium function that fills a buffer with UTF-16 and returns its length."""
    size = read(None, 0)
    if size <= unit or size > 1 << 20:
        return ""
    buffer = ctypes.create_string_buffer(size)
    read(buffer, size)
    return buffer.raw[: size - unit].decode("utf-16-le", "replace")


def _check_readable(path: Path) -> None:
    try:
        if not path.is_file():
            raise PdfError("missing", f"{path.name}: there is no such file.")
        with path.open("rb") as file:
            if not file.read(1):
                raise PdfError("empty", f"{path.name} is empty (0 bytes).")
    except OSError as error:
        raise PdfError("missing", f"{path.name} cannot be opened: {error.strerror}.") from error


def _explain_failure(path: Path, code: int, password: str | None) -> PdfError:
    if code == _ERROR_PASSWORD:
        given = "the password given does not open it" if password else "no password was given"
        return PdfError("encrypted", f"{path.name} is encrypted and {given}: set `password`.")
    if code == _ERROR_SECURITY:
        return PdfError("encrypted", f"{path.name} is encrypted in a way that PDFium cannot read.")
    with path.open("rb") as file:
        head = file.read(1024)
        file.seek(max(0, path.stat().st_size - 2048))
        tail = file.read()
    if b"%PDF-" not in head:
        return PdfError("not a PDF", f"{path.name} is not a PDF: it begins with other bytes.")
    if b"%%EOF" not in tail:
        return PdfError("truncated", f"{path.name} is truncated: its end is missing.")
    return PdfError("damaged", f"{path.name} is damaged: PDFium cannot follow its structure.")
