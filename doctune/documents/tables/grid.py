"""A table that was found on a page."""

from dataclasses import dataclass

from doctune.documents.model import BBox


@dataclass(frozen=True, slots=True)
class Grid:
    """Rows of cell texts, and the box that they fill on the page as it is shown."""

    bbox: BBox
    rows: tuple[tuple[str, ...], ...]

    @property
    def filled(self) -> int:
        """How many cells hold text."""
        return sum(1 for row in self.rows for cell in row if cell)
