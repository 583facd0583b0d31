"""Blocks as GitHub-flavoured Markdown."""

from collections.abc import Iterable, Sequence

from doctune.documents.model import OUT_OF_FLOW, Block


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


def table_markdown(rows: Sequence[Sequence[str]]) -> str:
    """Returns rows of cells as a table whose first row is the header."""
    cells = [[" ".join(cell.split()).replace("|", "\\|") for cell in row] for row in rows]
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
