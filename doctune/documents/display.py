"""Finds displayed formulas on a page and writes them as LaTeX.

PDFium's lines cut a formula into pieces and mix those of neighbours, so its characters are grouped
by their places. Only short lines without words are looked at, near a sign of mathematics.
"""

import re
from collections.abc import Sequence
from itertools import pairwise

from doctune.documents import fonts
from doctune.documents.drawing import Drawing
from doctune.documents.latex import Bar, Glyph, write_latex
from doctune.documents.latex_symbols import UnsureError, can_write
from doctune.documents.lines import Line, PageText
from doctune.documents.model import BBox

_SIGN = re.compile("[=<>\u00b1\u2190-\u22ff\u27e8\u2a00-\u2aff]")
_RELATION = re.compile("[=<>\u2248\u2260-\u2265\u2261\u2208\u221d\u223c\u2192\u21d2\u21d4]")
_STRUCTURE = re.compile(r"\\frac|\\sqrt|\\int|\\sum|\\prod|[_^]\{")
_OPEN_END = re.compile(r"(?:[=+\-<>]|\\(?:sum|int|prod|equiv|leq|geq|cdot|times))$")
_PLAIN_SIGNS = "=<>\u00b1"
_WORD = re.compile(r"[^\W\d_]{4,}")
_FUNCTIONS = frozenset(  # words that a formula may have
    {
        *("sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "arcsin", "arccos", "arctan"),
        *("limsup", "liminf"),
    }
)
_NUMBER = re.compile(r"^\(\d{1,3}(?:\.\d{1,3}){0,2}[a-z]?\)$")
_MAX_CHARS, _MAX_LINES, _MAX_GLYPHS = 120, 160, 300
_LEAST_GLYPHS, _LEAST_IN_FIGURE = 3, 5
_ACROSS, _DOWN = 1.0, 0.45  # em, between the characters of one formula
_LINES_ACROSS = 2.2  # em, between the lines around a bar that is wider than they are
_BESIDE = 0.5  # em, of what is over or under it and beside it
_HIGH = 0.6  # em, of a character over its baseline
_MOST_BAR = 400.0  # points
_OVERHANG = 8.0  # points by which a bar may be longer than what it belongs to


def write_formulas(
    lines: list[Line], drawing: Drawing, text: PageText, tables: Sequence[BBox]
) -> list[Line]:
    """Returns lines in which displayed formulas are single lines with their LaTeX.

    Args:
        tables: Boxes of tables, whose cells stay as they are.
    """
    raw = text.raw
    if not any(sign in raw for sign in _PLAIN_SIGNS) and (raw.isascii() or not _SIGN.search(raw)):
        return lines
    candidates = [line for line in lines if _is_candidate(line, tables)]
    if not any(_SIGN.search(line.text) for line in candidates):
        return lines
    for cluster in _clusters(candidates[:_MAX_LINES]):
        if any(_SIGN.search(line.text) for line in cluster):
            found = _formulas_of(cluster, drawing, text)
            if found:
                lines = _replaced(lines, cluster, found)
    return lines


def _is_candidate(line: Line, tables: Sequence[BBox]) -> bool:
    found = line.text
    if line.kind not in ("", "figure") or len(found) > _MAX_CHARS or line.font & fonts.MONO:
        return False
    if line.turn and len(found) > 1:
        return False
    word = _WORD.search(found)  # most lines are prose, told by their first word
    if word and (word[0] not in _FUNCTIONS or not _FUNCTIONS.issuperset(_WORD.findall(found))):
        return False
    if not tables:
        return True
    x, y = (line.x0 + line.x1) / 2, (line.y0 + line.y1) / 2
    return not any(b[0] - 2 <= x <= b[2] + 2 and b[1] - 2 <= y <= b[3] + 2 for b in tables)


def _clusters(lines: Sequence[Line]) -> list[list[Line]]:
    """Groups lines that are near each other or overlap."""
    ordered = sorted(lines, key=lambda line: line.y0)
    reach = _DOWN * max(line.size for line in lines)
    groups = _Groups(len(ordered))
    open_ones: list[int] = []
    for place, line in enumerate(ordered):
        open_ones = [other for other in open_ones if ordered[other].y1 + reach > line.y0]
        for other in open_ones:
            if _is_near(line, ordered[other]):
                groups.join(place, other)
        open_ones.append(place)
    return [[ordered[place] for place in group] for group in groups.members()]


class _Groups:
    """Numbers in groups that are joined one by one."""

    def __init__(self, count: int) -> None:
        self._parents = list(range(count))

    def _root(self, number: int) -> int:
        parents = self._parents
        while parents[number] != number:
            parents[number] = number = parents[parents[number]]
        return number

    def join(self, one: int, other: int) -> None:
        """Joins the groups of two numbers."""
        self._parents[self._root(one)] = self._root(other)

    def members(self) -> list[list[int]]:
        """Returns the numbers of each group."""
        found: dict[int, list[int]] = {}
        for number in range(len(self._parents)):
            found.setdefault(self._root(number), []).append(number)
        return list(found.values())


def _is_near(line: Line, other: Line) -> bool:
    em = line.size if line.size > other.size else other.size
    if line.x0 - other.x1 >= _LINES_ACROSS * em or other.x0 - line.x1 >= _LINES_ACROSS * em:
        return False
    return line.y0 - other.y1 < _DOWN * em and other.y0 - line.y1 < _DOWN * em


def _formulas_of(cluster: Sequence[Line], drawing: Drawing, text: PageText) -> list[Line]:
    """Returns a line for each formula of a cluster; none if one of them is unsure."""
    if not all(can_write(part) for line in cluster for part, _ in line.spans):
        return []  # before the costly look at each character
    glyphs = [glyph for line in cluster for glyph in text.glyphs(line)]
    if not _LEAST_GLYPHS <= len(glyphs) <= _MAX_GLYPHS:
        return []
    x0, x1 = min(g.x0 for g in glyphs), max(g.x1 for g in glyphs)
    y0, y1 = min(g.y0 for g in glyphs), max(g.y1 for g in glyphs)
    bars = [
        Bar(edge.start, edge.end, edge.place)
        for edge in drawing.horizontal
        if x0 - _OVERHANG < edge.start
        and edge.end < x1 + _OVERHANG
        and y0 < edge.place < y1
        and edge.end - edge.start < _MOST_BAR
    ]
    groups = _groups(glyphs, bars)
    numbers = [g for g in groups if _NUMBER.match("".join(glyph.text for glyph in g[0]))]
    in_figure = any(line.kind == "figure" for line in cluster)
    found = []
    for group, own in groups:
        if (group, own) in numbers:
            continue
        line = _formula(group, own, in_figure)
        rows = [line] if line else [_formula(row, [], in_figure) for row in _rows(group, own)]
        if not rows or None in rows:
            return []
        found += [row for row in rows if row]
    for group, _ in numbers:
        middle = sum(glyph.base for glyph in group) / len(group)
        beside = [line for line in found if line.y0 < middle < line.y1 + group[0].size]
        if not beside:
            return []
        number = "".join(glyph.text for glyph in group)
        beside[0].text += f" {number}"
        beside[0].latex += rf" \tag{{{number[1:-1]}}}"
    # The spans of the lines stay together, so that no character is lost.
    if found:
        found[0].spans = [span for line in cluster for span in line.spans]
    return found


def _groups(glyphs: Sequence[Glyph], bars: Sequence[Bar]) -> list[tuple[list[Glyph], list[Bar]]]:
    """Groups characters and rules that are parts of one formula."""
    size = max(glyph.size for glyph in glyphs)
    across, beside, down = _ACROSS * size, _BESIDE * size, _DOWN * size
    items: list[Glyph | Bar] = sorted([*glyphs, *bars], key=lambda item: item.x0)
    extents = [(item.x0, item.x1, *_extent(item)) for item in items]
    groups = _Groups(len(items))
    open_ones: list[int] = []
    for place, (x0, _, top, bottom) in enumerate(extents):
        # All begin left of this one, so that only their ends count.
        open_ones = [other for other in open_ones if extents[other][1] + across > x0]
        for other in open_ones:
            _, x1, other_top, other_bottom = extents[other]
            apart = top - other_bottom if top > other_top else other_top - bottom
            if apart < 0 or (x0 - x1 < beside and apart < down):
                groups.join(place, other)
        open_ones.append(place)
    found = [[items[place] for place in group] for group in groups.members()]
    split = [
        ([i for i in group if isinstance(i, Glyph)], [i for i in group if isinstance(i, Bar)])
        for group in found
    ]
    return [(parts, own) for parts, own in split if parts]


def _rows(group: Sequence[Glyph], bars: Sequence[Bar]) -> list[list[Glyph]]:
    """Returns the formulas of a group that are below each other; none if they are not apart."""
    if bars:
        return []
    rows: list[list[Glyph]] = []
    lowest = 0.0
    for glyph in sorted(group, key=lambda glyph: glyph.y0 + glyph.y1):
        top, bottom = _extent(glyph)
        if rows and top < lowest:
            rows[-1].append(glyph)
        else:
            rows.append([glyph])
        lowest = max(lowest, bottom)
    return rows if len(rows) > 1 else []


def _extent(item: Glyph | Bar) -> tuple[float, float]:
    if isinstance(item, Bar):
        return item.y - 0.1, item.y + 0.1
    top, base = item.base - _HIGH * item.size, item.base
    return item.y0 if item.y0 < top else top, item.y1 if item.y1 > base else base


def _formula(group: list[Glyph], bars: list[Bar], in_figure: bool) -> Line | None:
    """Returns the line of a formula; None if it is none, or it is not sure how it reads."""
    text = _plain(group)
    letters = sum(1 for glyph in group if glyph.text.isalpha())
    if len(group) < _LEAST_GLYPHS or not letters:
        return None
    try:
        latex = write_latex(group, bars)
    except UnsureError:
        return None
    if _OPEN_END.search(latex):
        return None
    structured = _STRUCTURE.search(latex) is not None
    if not structured and not _RELATION.search(text):
        return None
    if in_figure and (len(group) < _LEAST_IN_FIGURE or not (structured or _SIGN.search(text))):
        return None
    line = Line(text, 0, False)
    line.kind, line.latex = "formula", latex
    line.x0, line.x1 = min(g.x0 for g in group), max(g.x1 for g in group)
    line.y0, line.y1 = min(g.y0 for g in group), max(g.y1 for g in group)
    line.size = max(glyph.size for glyph in group)
    line.spans = []
    return line


def _plain(group: Sequence[Glyph]) -> str:
    """Returns the characters of a formula from left to right, with spaces in its gaps."""
    ordered = sorted(group, key=lambda glyph: glyph.x0)
    text = ordered[0].text
    for one, other in pairwise(ordered):
        text += " " * (other.x0 - one.x1 > 0.2 * one.size) + other.text
    return text


def _replaced(lines: list[Line], cluster: Sequence[Line], found: Sequence[Line]) -> list[Line]:
    """Puts formulas in the place of the first line of their cluster."""
    gone = set(map(id, cluster))
    place = next(index for index, line in enumerate(lines) if id(line) in gone)
    rest = [line for line in lines if id(line) not in gone]
    before = sum(1 for line in lines[:place] if id(line) not in gone)
    ordered = sorted(found, key=lambda line: (round(line.y0 / 4), line.x0))
    return rest[:before] + ordered + rest[before:]
