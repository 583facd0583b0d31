"""A page as a part of a file gives it."""

from dataclasses import dataclass

from doctune.documents.model import Block
from doctune.documents.stages import Fault


@dataclass(frozen=True)
class PartPage:
    """A page as a part gives it: headings have no level yet."""

    number: int
    width: float
    height: float
    blocks: list[Block]
    char_count: int
    unmapped_count: int
    confidence: float = 0.0
    unread: bool = False  # it shows text that nothing here can read
    text_chars: int = 0  # that PDFium has
    lost_chars: int = 0  # of these, that no block holds
    hidden_chars: int = 0  # that a reader of the page does not see
    unsure: bool = False  # it shows handwriting or a drawing that OCR makes nothing of
    faults: tuple[Fault, ...] = ()
