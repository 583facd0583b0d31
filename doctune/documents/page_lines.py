"""A page on its way to blocks: its lines in reading order, and what was found on it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from doctune.documents.annotations import Link
from doctune.documents.lines import Line
from doctune.documents.model import BBox
from doctune.documents.tables.grid import Grid


@dataclass
class PageLines:
    """A page on its way to blocks: its lines in reading order, and the tables on it.

    Attributes:
        width, height: Of the page as its text is upright, in points.
        shown_width, shown_height: Of the page as it is shown.
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
    unread: bool = False  # it shows text that nothing here can read
    unsure: bool = False  # it shows handwriting or a drawing that OCR makes nothing of
    figures: list[BBox] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    shown: Callable[[BBox], BBox] | None = None  # maps boxes of a straightened page to the page
    turned: list["PageLines"] = field(default_factory=list)  # what stands on its side on the page
    text: str = ""  # all that there is to read on it, to be held against what comes out
    hidden: list[str] = field(default_factory=list)  # text that a reader of the page does not see
    mended: list[tuple[str, str]] = field(default_factory=list)  # of it, and what it became


@dataclass
class Draft:
    """A block that more lines may join.

    Attributes:
        page: The page that it begins on, by its place among those read together.
    """

    page: int
    kind: str
    lines: list[Line]
    grid: Grid | None = None
