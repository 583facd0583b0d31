"""What a PDF becomes: a Document of pages of blocks."""

from collections.abc import Iterator
from dataclasses import dataclass, field

KINDS = (
    "heading",
    "paragraph",
    "list",
    "table",
    "caption",
    "code",
    "formula",
    "footnote",
    "figure",
    "header",
    "footer",
    "watermark",
    "line_number",
)
# Kinds that are on the page and not in the flow of the text.
FURNITURE = frozenset({"header", "footer", "watermark", "line_number"})
OUT_OF_FLOW = FURNITURE | {"figure"}
_LANGUAGE_CHARS = 1_000  # enough to tell a block's language

BBox = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a page that reads as one thing.

    Attributes:
        page: Number of the page it begins on, from 1.
        kind: One of `KINDS`.
        text: Its text; of a table, the table in GitHub's Markdown.
        bbox: Left, top, right and bottom in points from the top left corner of the page as it is
            shown. Of a block that goes on in the next column or page, the box of its beginning.
        level: Of a heading, 1 (the highest) to 6; of a list item, its nesting from 1.
        rows: Of a table, its cells by row; all rows are of one length.
        spans: Of a table, row, column, rows and columns of each cell that covers more than one
            place; the other places that it covers are empty in `rows`.
        header_rows: Of a table, how many rows at its top name its columns.
        size: Its font size in points.
        engine: What read its text: "pdfium", or "tesseract" for a scanned page.
        confidence: Of text read by OCR, how sure it is, in per cent; None of any other.
        caption: Of a table or figure, the text of its caption.
        links: The addresses outside the file that it links to.
    """

    page: int
    kind: str
    text: str
    bbox: BBox
    level: int | None = None
    rows: tuple[tuple[str, ...], ...] | None = None
    size: float = 0.0
    spans: tuple[tuple[int, int, int, int], ...] = ()
    header_rows: int = 0
    engine: str = "pdfium"
    confidence: float | None = None
    caption: str = ""
    links: tuple[str, ...] = ()

    @property
    def language(self) -> str:
        """ISO 639-1 code of its language; "" where it is too short to tell."""
        from doctune.documents.language import detect_language

        return detect_language(self.text[:_LANGUAGE_CHARS])


@dataclass(frozen=True, slots=True)
class Page:
    """A page: its number from 1, its size in points as it is shown, its blocks in reading order."""

    number: int
    width: float
    height: float
    blocks: tuple[Block, ...]

    @property
    def text(self) -> str:
        """The text that begins on the page, without running headers and footers."""
        return join_text(self.blocks)


@dataclass(frozen=True)
class Document:
    """A PDF that was read.

    Attributes:
        metadata: What the file says of itself (title, author, ...), keys in lower case.
        language: ISO 639-1 code of the language that most of the text is in; "" when unknown.
        warnings: What a person should know about how far the reading can be trusted.
    """

    pages: tuple[Page, ...]
    metadata: dict[str, str] = field(default_factory=dict)
    language: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def blocks(self) -> list[Block]:
        """All blocks in reading order."""
        return [block for page in self.pages for block in page.blocks]

    @property
    def tables(self) -> list[Block]:
        """The blocks that are tables."""
        return [block for block in self.blocks if block.kind == "table"]

    @property
    def title(self) -> str:
        """The title that the file states, or else its first heading."""
        stated = self.metadata.get("title", "").strip()
        return stated or next((b.text for b in self.blocks if b.kind == "heading"), "")

    @property
    def text(self) -> str:
        """The text in reading order, without running headers and footers."""
        return join_text(self.blocks)

    @property
    def markdown(self) -> str:
        """The document as Markdown, without running headers and footers."""
        from doctune.documents.markdown import render_markdown

        return render_markdown(self.blocks)


def join_text(blocks: Iterator[Block] | list[Block] | tuple[Block, ...]) -> str:
    """Returns the plain text of blocks, without what is out of the flow."""
    return "\n\n".join(
        "\n".join("\t".join(row) for row in block.rows) if block.rows else block.text
        for block in blocks
        if block.kind not in OUT_OF_FLOW
    )
