"""Intermediate results of parsing a page: lines in reading order, tables, figures."""

from collections.abc import Callable
from dataclasses import dataclass, field

from doctune.documents.annotations import Link
from doctune.documents.lines import Line
from doctune.documents.model import BBox
from doctune.documents.tables.grid import Grid
from doctune.documents.tags import Description


@dataclass
class PageLines:
    """The lines of a page in reading order, with its tables and figures.

    Attributes:
        width, height: The size of the page when its text is upright, in points.
        shown_width, shown_height: The size of the page as it is shown.
    """

    number: int
    width: float
    height: float
    shown_width: float = 0.0
    shown_height: float = 0.0
    lines: list[Line] = field(default_factory=list)
    tables: list[Grid] = field(default_factory=list)
    char_count: int = 0
    unmapped_count: int = 0
    engine: str = "pdfium"
    confidence: float = 0.0
    unread: bool = False  # it shows text that needs OCR, which is not installed
    unsure: bool = False  # it shows handwriting or a drawing that OCR cannot read
    figures: list[BBox] = field(default_factory=list)
    described: list[Description] = field(default_factory=list)  # figures with a text for them
    links: list[Link] = field(default_factory=list)
    shown: Callable[[BBox], BBox] | None = None  # maps boxes of a deskewed page to the page
    turned: list["PageLines"] = field(default_factory=list)  # rotated text on the page
    text: str = ""  # all its text, to be compared with the blocks
    hidden: list[str] = field(default_factory=list)  # hidden text
    off_chars: int = 0  # characters of optional content that is off
    # Pieces of `text`, each with its replacement.
    replaced: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Draft:
    """A block in progress, to which lines may be added.

    Attributes:
        page: Index of the page that it begins on, among those parsed together.
    """

    page: int
    kind: str
    lines: list[Line]
    grid: Grid | None = None
