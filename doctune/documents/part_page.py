"""The result of a page, before the parts of a file are assembled."""

from dataclasses import dataclass

from doctune.documents.model import Block
from doctune.documents.stages import Fault


@dataclass(frozen=True)
class PartPage:
    """A parsed page, whose headings have no level yet."""

    number: int
    width: float
    height: float
    blocks: list[Block]
    char_count: int
    unmapped_count: int
    confidence: float = 0.0
    unread: bool = False  # it shows text that needs OCR, which is not installed
    text_chars: int = 0  # number of characters in PDFium's text
    lost_chars: int = 0  # number of those that are in no block
    hidden_chars: int = 0  # number of hidden characters
    unsure: bool = False  # it shows handwriting or a drawing that OCR cannot read
    faults: tuple[Fault, ...] = ()
