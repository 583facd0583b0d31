"""What a PDF becomes: a Document of pages of blocks, as plain text or GitHub-flavoured Markdown."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from doctune.documents.language import detect_language

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
        return detect_language(self.text[:_LANGUAGE_CHARS])


@dataclass(frozen=True, slots=True)
class Page:
    """A page: its number from 1, its size in points as it is shown, its blocks in reading order.

    Attributes:
        text_chars: How many characters PDFium has of it, white space and hyphens left out.
        lost_chars: How many of these no block holds.
        hidden_chars: How many characters a reader of the page does not see; they are left out.
    """

    number: int
    width: float
    height: float
    blocks: tuple[Block, ...]
    text_chars: int = 0
    lost_chars: int = 0
    hidden_chars: int = 0

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
        return render_markdown(self.blocks)


def join_text(blocks: Iterable[Block]) -> str:
    """Returns the plain text of blocks, without what is out of the flow."""
    return "\n\n".join(
        "\n".join("\t".join(row) for row in block.rows) if block.rows else block.text
        for block in blocks
        if block.kind not in OUT_OF_FLOW
    )


def render_markdown(blocks: Iterable[Block]) -> str:
    """Returns blocks as Markdown, without what is out of the flow."""
    parts: list[str] = []
    previous = ""
    for block in blocks:
        if block.kind in OUT_OF_FLOW:
            continue
        text = _render(block)
        # Items of one list stand together.
        together = block.kind == previous == "list"
        parts.append(("\n" if together else "\n\n") + text if parts else text)
        previous = block.kind
    return "".join(parts) + "\n" if parts else ""


def table_markdown(
    rows: Sequence[Sequence[str]],
    spans: Sequence[tuple[int, int, int, int]] = (),
    header_rows: int = 0,
) -> str:
    """Returns rows of cells as a table whose first row is the header.

    A name that goes over several columns is repeated in each of them: Markdown has no such cells.
    """
    cells = [[" ".join(cell.split()).replace("|", "\\|") for cell in row] for row in rows]
    for row, column, _, across in spans:
        if row < header_rows:
            cells[row][column : column + across] = [cells[row][column]] * across
    lines = ["| " + " | ".join(row) + " |" for row in cells]
    lines.insert(1, "|" + " --- |" * len(cells[0]))
    return "\n".join(lines)


def _render(block: Block) -> str:
    if block.kind == "heading":
        return "#" * (block.level or 1) + " " + " ".join(block.text.split())
    if block.kind == "list":
        marker, _, rest = block.text.partition(" ")
        marker = f"{marker} " if marker[:1].isdigit() and marker[-1:] == "." else "- "
        if marker == "- " and len(block.text.split(" ", 1)[0]) > 1:
            rest = block.text
        return "  " * ((block.level or 1) - 1) + marker + rest
    if block.kind == "code":
        fence = "````" if "```" in block.text else "```"
        return f"{fence}\n{block.text}\n{fence}"
    if block.kind == "formula":
        return f"`{block.text}`" if "`" not in block.text else block.text
    if block.kind == "caption":
        return f"*{block.text}*" if "*" not in block.text else block.text
    return block.text
