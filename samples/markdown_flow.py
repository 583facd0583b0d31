"""Markdown to reportlab flowables.

markdown-it-py reads the text. What Markdown cannot say stands in HTML comments on a line of their
own: `<!-- pagebreak -->`, `<!-- figure: NAME -->` (a drawing of `figures.py`), and before a table
`<!-- table: widths=2,1,1 borderless caption="Table 1. ..." -->`.
"""

import re
from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode
from reportlab.platypus import (
    CondPageBreak,
    Flowable,
    KeepTogether,
    LongTable,
    PageBreak,
    Paragraph,
    Spacer,
    TableStyle,
    XPreformatted,
)

from figures import FIGURES
from hyphenation import with_soft_hyphens
from typography import ACCENT, MONOSPACE, RULE, SHADE, Typography

_DIRECTIVE = re.compile(r"<!--\s*(\w+)(?::\s*(.*?))?\s*-->", re.DOTALL)
_WIDTHS = re.compile(r"widths=([\d.,]+)")
_CAPTION = re.compile(r'caption="([^"]+)"')
_BULLETS = ("•", "-", "·")
_INDENT = 15.0
# Longer tables run over the page break, with their head row repeated.
_MOST_ROWS_KEPT = 16
_SPANS = {"strong": "b", "em": "i"}


class Heading(Paragraph):
    """A heading that knows its depth (0 to 2) and its text without markup, for the bookmarks."""

    def __init__(self, markup: str, style: object, *, depth: int, plain: str) -> None:
        super().__init__(markup, style)
        self.depth = depth
        self.plain = plain


class Noted(Paragraph):
    """A paragraph with a bar on its left, for warnings and notes."""

    def draw(self) -> None:
        self.canv.saveState()
        self.canv.setStrokeColor(ACCENT)
        self.canv.setLineWidth(2.2)
        self.canv.line(2, 0, 2, self.height)
        self.canv.restoreState()
        super().draw()


class MarkdownFlow:
    """Turns the Markdown of one manuscript into flowables.

    Args:
        typography: The styles to set in.
        numbered: Whether headings get numbers ("2.1").
        width: Width of the column, in points.
    """

    def __init__(self, typography: Typography, *, numbered: bool, width: float) -> None:
        self._style = typography
        self._numbered = numbered
        self._width = width
        self._counters = [0, 0, 0]
        self._table_hint = ""

    def flowables(self, text: str) -> list[Flowable]:
        """Set a whole text.

        Raises:
            ValueError: The text uses Markdown that the house style does not know.
        """
        tree = SyntaxTreeNode(MarkdownIt("commonmark").enable("table").parse(text))
        blocks: list[Flowable] = []
        after_heading = False
        for position, node in enumerate(tree.children):
            is_heading = node.type == "heading"
            if is_heading and not after_heading:
                blocks.append(CondPageBreak(self._opening_height(tree.children[position:])))
            blocks.extend(self._block(node))
            after_heading = is_heading
        return blocks

    def _opening_height(self, nodes: Sequence[SyntaxTreeNode]) -> float:
        """Least height, in points, that keeps headings and captions with what they announce."""
        height, size = 0.0, self._style.size
        for node in nodes:
            if node.type == "heading":
                height += 3 * size
            elif figure := _hint(node, "figure"):
                return height + FIGURES[figure.split("|")[0].strip()](self._width).height + 4 * size
            elif node.type == "fence":
                return height + (node.content.count("\n") + 3) * size
            elif node.type == "table":
                return height + 2 * size * min(_row_count(node), _MOST_ROWS_KEPT)
            elif _hint(node, "table"):
                height += 2 * size
            else:
                return height + 4.5 * size
        return height

    def _block(self, node: SyntaxTreeNode) -> Iterator[Flowable]:
        if node.type == "heading":
            yield from self._heading(node)
        elif node.type == "paragraph":
            yield Paragraph(self._inline(node), self._style.body)
        elif node.type in ("bullet_list", "ordered_list"):
            yield from self._list(node, depth=0)
            yield Spacer(1, self._style.size * 0.35)
        elif node.type == "table":
            yield from self._table(node)
        elif node.type == "fence":
            yield from self._code(node)
        elif node.type == "blockquote":
            yield from self._note(node)
        elif node.type == "html_block":
            yield from self._directive(node)
        else:
            raise ValueError(f"the house style has no {node.type}")

    def _heading(self, node: SyntaxTreeNode) -> Iterator[Flowable]:
        depth = int(node.tag[1]) - 1
        plain = _plain(node)
        if self._numbered:
            self._counters[depth] += 1
            self._counters[depth + 1 :] = [0] * (len(self._counters) - depth - 1)
            plain = ".".join(map(str, self._counters[: depth + 1])) + " " + plain
        yield Heading(escape(plain), self._style.headings[depth], depth=depth, plain=plain)

    def _list(self, node: SyntaxTreeNode, depth: int) -> Iterator[Flowable]:
        number = int(node.attrs.get("start", 1))
        style = self._style.item.clone(
            f"item-{depth}", leftIndent=_INDENT * (depth + 1), bulletIndent=_INDENT * depth + 2
        )
        for item in node.children:
            bullet = _BULLETS[depth]
            if node.type == "ordered_list":
                bullet = f"{number}." if depth == 0 else f"{chr(ord('a') + number - 1)})"
            for child in item.children:
                if child.type == "paragraph":
                    yield Paragraph(self._inline(child), style, bulletText=bullet)
                    bullet = ""
                else:
                    yield from self._list(child, depth + 1)
            number += 1

    def _table(self, node: SyntaxTreeNode) -> Iterator[Flowable]:
        hint, self._table_hint = self._table_hint, ""
        head, *bodies = node.children
        rows = [
            [Paragraph(self._inline(c), self._style.cell_head) for c in head.children[0].children]
        ]
        for body in bodies:
            for row in body.children:
                rows.append([Paragraph(self._inline(c), self._style.cell) for c in row.children])
        shares = [1.0] * len(rows[0])
        if widths := _WIDTHS.search(hint):
            shares = [float(share) for share in widths[1].split(",")]
        columns = [self._width * share / sum(shares) for share in shares]
        table = LongTable(rows, colWidths=columns, repeatRows=1, hAlign="LEFT")
        table.setStyle(_borderless() if "borderless" in hint else _ruled())
        parts: list[Flowable] = [table, Spacer(1, self._style.size)]
        if caption := _CAPTION.search(hint):
            parts.insert(0, Paragraph(escape(caption[1]), self._style.caption))
        if _row_count(node) <= _MOST_ROWS_KEPT:
            yield KeepTogether(parts)
        else:
            yield CondPageBreak(self._style.size * 12)
            yield from parts

    def _code(self, node: SyntaxTreeNode) -> Iterator[Flowable]:
        style = self._style.code.clone(
            "terminal", backColor=SHADE, borderPadding=5, leftIndent=5, spaceBefore=7, spaceAfter=12
        )
        yield KeepTogether([XPreformatted(escape(node.content.rstrip("\n")), style)])

    def _note(self, node: SyntaxTreeNode) -> Iterator[Flowable]:
        for child in node.children:
            yield Noted(self._inline(child), self._style.note)
            yield Spacer(1, self._style.size * 0.7)

    def _directive(self, node: SyntaxTreeNode) -> Iterator[Flowable]:
        match = _DIRECTIVE.fullmatch(node.content.strip())
        if match is None:
            raise ValueError(f"not a directive: {node.content.strip()}")
        name, argument = match[1], match[2] or ""
        if name == "pagebreak":
            yield PageBreak()
        elif name == "table":
            self._table_hint = argument
        elif name == "figure":
            key, caption = (part.strip() for part in argument.split("|"))
            drawing = FIGURES[key](self._width)
            yield KeepTogether(
                [Spacer(1, 4), drawing, Paragraph(escape(caption), self._style.caption)]
            )
        else:
            raise ValueError(f"unknown directive {name}")

    def _inline(self, node: SyntaxTreeNode) -> str:
        """The markup of a node's text in reportlab's own small XML."""
        return "".join(self._span(child) for inline in node.children for child in inline.children)

    def _span(self, node: SyntaxTreeNode) -> str:
        if node.type == "text":
            text = escape(node.content)
            return with_soft_hyphens(text) if self._style.body.alignment else text
        if node.type in _SPANS:
            tag = _SPANS[node.type]
            return f"<{tag}>{''.join(self._span(child) for child in node.children)}</{tag}>"
        if node.type == "code_inline":
            return f'<font face="{MONOSPACE}">{escape(node.content)}</font>'
        if node.type == "softbreak":
            return " "
        if node.type == "hardbreak":
            return "<br/>"
        raise ValueError(f"the house style has no {node.type} within a paragraph")


def _row_count(table: SyntaxTreeNode) -> int:
    return sum(node.type == "tr" for node in table.walk())


def _hint(node: SyntaxTreeNode, name: str) -> str | None:
    """The argument of the directive `name`, or None where the node is something else."""
    if node.type != "html_block":
        return None
    match = _DIRECTIVE.fullmatch(node.content.strip())
    return (match[2] or "") if match and match[1] == name else None


def _plain(node: SyntaxTreeNode) -> str:
    return "".join(leaf.content for leaf in node.walk() if leaf.type in ("text", "code_inline"))


def _ruled() -> TableStyle:
    return TableStyle(
        [
            ("GRID", (0, 0), (-1, -1), 0.5, RULE),
            ("BACKGROUND", (0, 0), (-1, 0), SHADE),
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LEFTPADDING", (0, 0), (-1, -1), 4),
            ("RIGHTPADDING", (0, 0), (-1, -1), 4),
            ("TOPPADDING", (0, 0), (-1, -1), 2.5),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 3.5),
        ]
    )


def _borderless() -> TableStyle:
    return TableStyle(
        [
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LEFTPADDING", (0, 0), (-1, -1), 0),
            ("RIGHTPADDING", (0, 0), (-1, -1), 12),
            ("TOPPADDING", (0, 0), (-1, -1), 1.5),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 2.5),
        ]
    )
