"""The error of a PDF that cannot be read."""

from typing import Literal

from doctune.errors import CorpusError

Reason = Literal[
    "missing",  # no such file, or no permission to open it
    "empty",  # no bytes
    "not a PDF",  # the bytes of something else
    "truncated",  # it begins as a PDF, but its end is missing
    "damaged",  # a PDF whose structure PDFium cannot follow
    "encrypted",  # needs a password, or a different one
    "too large",  # over the limit of pages or of text
    "timeout",
    "out of memory",
    "crashed",  # took the worker process down
]


class PdfError(CorpusError):
    """One PDF cannot be read.

    Attributes:
        reason: A short code for statistics; the message explains it.
    """

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
