"""The document model: pages of blocks, with plain text and GitHub-flavoured Markdown."""

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
# Kinds that are on the page but not part of the text flow.
FURNITURE = frozenset({"header", "footer", "watermark", "line_number"})
OUT_OF_FLOW = FURNITURE | {"figure"}
TAGS = "tags"  # the engine of a figure's description
_LANGUAGE_CHARS = 1_000  # enough to detect a block's language

BBox = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Block:
    """A unit of a page's content: a paragraph, heading, table, ...

    Attributes:
        page: Number of the page it begins on, from 1.
        kind: One of `KINDS`.
        text: Its text; for a table, GitHub-flavoured Markdown.
        bbox: Left, top, right and bottom in points from the top left corner of the page as it is
            shown. For a block that continues in the next column or page, the box of its first part.
        level: For a heading, 1 (the highest) to 6; for a list item, its nesting from 1.
        rows: For a table, its cells by row; all rows have the same length.
        spans: For a table, row, column, row span and column span of each merged cell; the other
            cells that it covers are empty in `rows`.
        header_rows: For a table, the number of header rows.
        size: Its font size in points.
        engine: The engine that read its text: "pdfium", "rapidocr" or "tesseract" for a scanned
            page, or "tags" for the description of a figure.
        confidence: Mean OCR confidence in per cent; None for other text.
        caption: For a table or figure, the text of its caption.
        links: The addresses outside the file that it links to.
        latex: For a formula, its LaTeX; "" if it is not certain.
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
    latex: str = ""

    @property
    def language(self) -> str:
        """ISO 639-1 code of its language; "" if it is too short to detect."""
        return detect_language(self.text[:_LANGUAGE_CHARS])


@dataclass(frozen=True, slots=True)
class Page:
    """A page: its number from 1, its size in points as it is shown, its blocks in reading order.

    Attributes:
        text_chars: Number of its characters in PDFium's text, without white space and hyphens.
        lost_chars: Number of those that are in no block.
        hidden_chars: Number of hidden characters, which are left out.
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
    """A parsed PDF.

    Attributes:
        metadata: The file's metadata (title, author, ...), with keys in lower case.
        language: ISO 639-1 code of the language of most of the text; "" if unknown.
        warnings: Problems that affect the reliability of the result, one line each.
        attached: The PDFs that are attached to it, by name, if they were asked for.
    """

    pages: tuple[Page, ...]
    metadata: dict[str, str] = field(default_factory=dict)
    language: str = ""
    warnings: tuple[str, ...] = ()
    attached: dict[str, "Document"] = field(default_factory=dict)

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
    """Returns the plain text of blocks, without those outside the text flow."""
    return "\n\n".join(
        "\n".join("\t".join(row) for row in block.rows) if block.rows else block.text
        for block in blocks
        if block.kind not in OUT_OF_FLOW
    )


def render_markdown(blocks: Iterable[Block]) -> str:
    """Returns blocks as Markdown, without those outside the text flow."""
    parts: list[str] = []
    previous = ""
    for block in blocks:
        if block.kind in OUT_OF_FLOW and block.engine != TAGS:
            continue
        text = _render(block)
        # No blank line between the items of a list.
        together = block.kind == previous == "list"
        parts.append(("\n" if together else "\n\n") + text if parts else text)
        previous = block.kind
    return "".join(parts) + "\n" if parts else ""


def table_markdown(
    rows: Sequence[Sequence[str]],
    spans: Sequence[tuple[int, int, int, int]] = (),
    header_rows: int = 0,
) -> str:
    """Returns a Markdown table whose first row is the header.

    A header over several columns is repeated in each of them, since Markdown has no merged cells.
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
    if block.latex:
        return f"$${block.latex}$$"
    if block.kind == "formula":
        return f"`{block.text}`" if "`" not in block.text else block.text
    if block.kind == "figure":
        return f"![{block.text}]()"
    if block.kind == "caption":
        return f"*{block.text}*" if "*" not in block.text else block.text
    return block.text
