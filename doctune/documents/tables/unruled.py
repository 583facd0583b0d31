"""Finds tables without rules: rows of short pieces that are aligned in columns.

Lines are split into pieces at wide gaps. Rows of several pieces that follow each other closely are
a candidate; its columns are the intervals of the rows with the most pieces. Prose in columns,
lists, tables of contents and formulas are excluded: their pieces are longer and few are values. A
table caption is evidence for a table.
"""

import itertools
import re
from collections.abc import Sequence

from doctune.documents import fonts
from doctune.documents.drawing import Drawing, Edge
from doctune.documents.lines import Line, PageText
from doctune.documents.model import BBox
from doctune.documents.tables.columns import (
    Interval,
    Row,
    columns_of,
    find_columns,
    split_values,
)
from doctune.documents.tables.grid import Grid, Span, count_header_rows
from doctune.documents.tables.pieces import (
    CAPTION,
    Piece,
    box_around,
    has_gaps,
    join_near,
    split_at_gaps,
    text_rows,
    whole_piece,
)
from doctune.documents.tables.rules import WHOLE_SHARE, edges_within, ruled_shares
from doctune.documents.tables.runs import MIN_ROWS, find_runs
from doctune.documents.tables.titles import title_places, whole_rules
from doctune.documents.tables.wrapped import merge_wrapped
from doctune.documents.tables.zones import split_zones
from doctune.documents.words import join_lines

_LEADER = re.compile(r"(?:\. ?){4,}|\u2026{2,}")
_MARKER = re.compile(r"^(?:[^\w\s]|\(?\w{1,3}[.)]|\[\w{1,6}\]|\d+(?:\.\d+)*\.?)$")
_EQUATION_NUMBER = re.compile(r"^\(\d{1,3}(?:\.\d{1,3})?[a-z]?\)$")
_MAX_CAPTION_GAP = 45.0  # points
_CELL_CHARS = 30  # of a short piece: a page without short pieces has no table
_MOST_HEAD_ROWS = 6
_YEAR = re.compile(r"^(?:1[89]|20)\d\d$")  # a title over columns that have names
_MAX_COLUMNS = 100


def find_unruled_tables(lines: Sequence[Line], drawing: Drawing, text: PageText) -> list[Grid]:
    """Returns the tables without rules, among lines that are in no other table."""
    upright = [line for line in lines if not line.turn and not line.kind]
    # Fast path: most pages are prose, with few short lines or gaps.
    with_gaps = list(map(has_gaps, upright))
    gap_count = with_gaps.count(True)
    if gap_count + sum([len(line.text) <= _CELL_CHARS for line in upright]) < MIN_ROWS:
        return []
    if gap_count < MIN_ROWS and gap_count + _beside_others(upright) < MIN_ROWS:
        return []
    pieces: list[Piece] = []
    for line, has_gap in zip(upright, with_gaps, strict=True):
        if has_gap:
            pieces += split_at_gaps(line, text)
        else:
            pieces.append(whole_piece(line))
    if sum([len(piece[0]) <= _CELL_CHARS for piece in pieces]) < 2 * MIN_ROWS:
        return []
    rows = [join_near(row) for row in text_rows(pieces)]
    if sum(1 for row in rows if len(row) > 1 and _has_cell(row)) < MIN_ROWS:
        return []
    captions = [line for line in upright if CAPTION.match(line.text)]
    grids = []
    for zone in split_zones(rows):
        for run in find_runs(zone):
            grid = _grid_of(split_values(run, text), captions, drawing)
            if grid is not None and grid.is_table:
                grids.append(grid)
    return grids


def _beside_others(lines: Sequence[Line]) -> int:
    """Returns how many lines are beside another one: an upper bound for rows with two pieces."""
    doubled = sorted([(line.y0 + line.y1, line.y1 - line.y0) for line in lines])
    return sum(
        [other - one < 0.8 * height for (one, _), (other, height) in itertools.pairwise(doubled)]
    )


def _has_cell(row: Row) -> bool:
    return any(len(piece[0]) <= _CELL_CHARS for piece in row)


def _grid_of(run: list[Row], captions: Sequence[Line], drawing: Drawing) -> Grid | None:
    columns = find_columns(run)
    if not 2 <= len(columns) <= _MAX_COLUMNS or not _is_table(run, columns, captions):
        return None
    box = box_around([piece for row in run for piece in row])
    edges = edges_within(box, drawing)
    shares = ruled_shares(run, edges, box)
    # A row that a rule across the whole table separates from the others is not part of it.
    while len(run[0]) == 1 and len(run) > MIN_ROWS and shares[0] > WHOLE_SHARE:
        run, shares = run[1:], shares[1:]
        box = box_around([piece for row in run for piece in row])
    groups = merge_wrapped(run, columns, shares)
    cells: list[list[list[Piece]]] = []
    spans: list[Span] = []
    for group, places in zip(groups, _places(groups, columns, edges, box), strict=True):
        row: list[list[Piece]] = [[] for _ in columns]
        for piece, (first, last) in zip(group, places, strict=True):
            if last > first and not row[first]:
                spans.append((len(cells), first, 1, last - first + 1))
            row[first].append(piece)
        cells.append(row)
    texts = tuple(tuple(_read(cell) for cell in row) for row in cells)
    header_rows = max(_header_rows(texts), count_header_rows(texts, spans))
    return Grid(box, texts, tuple(spans), header_rows)


def _places(
    groups: Sequence[Row], columns: Sequence[Interval], edges: Sequence[Edge], box: BBox
) -> list[list[tuple[int, int]]]:
    """Returns the first and last column of each piece, for each row of the table."""
    places = [[columns_of(piece, columns) for piece in group] for group in groups]
    rules = whole_rules(edges, box[0], box[2])
    for index, (group, below) in enumerate(itertools.pairwise(groups[:_MOST_HEAD_ROWS])):
        values = [piece for piece in group[1:] if piece.is_value]
        names = not any(piece.is_value for piece in below)
        if values and not (names and all(_YEAR.match(piece.text) for piece in values)):
            break
        if len(text_rows(group)) == 1:
            places[index] = title_places(group, below, columns, rules)
    return places


def _read(pieces: list[Piece]) -> str:
    rows = text_rows(pieces)
    return join_lines([" ".join(piece.text for piece in row) for row in rows]) if rows else ""


def _is_table(run: list[Row], columns: list[Interval], captions: Sequence[Line]) -> bool:
    pieces = [piece for row in run for piece in row]
    full = [row for row in run if len(row) > 1]
    if sum(1 for row in run if any(_LEADER.search(p.text) for p in row)) > 0.3 * len(run):
        return False
    if _is_formula(run):
        return False
    if len(columns) == 2 and sum(1 for row in full if _MARKER.match(row[0].text)) > 0.5 * len(full):
        return False
    values = sum(1 for row in full for piece in row[1:] if piece.is_value)
    value_share = values / max(1, sum(len(row) - 1 for row in full))
    length = sum(len(piece.text) for piece in pieces) / len(pieces)
    if _has_caption(box_around(pieces), captions):
        return length < 40
    if len(columns) == 2:
        return value_share >= 0.6 and length < 40
    if value_share >= 0.4:
        return length < 35
    return len(full) >= 4 and length < 18 and len(pieces) >= 0.6 * len(full) * len(columns)


def _is_formula(run: list[Row]) -> bool:
    """Returns whether rows are displayed formulas: numbered at the right, or mostly math."""
    numbered = [row for row in run if _EQUATION_NUMBER.match(row[-1].text)]
    # A loss may be in brackets, too, below or above other amounts.
    amounts = any(piece.is_value for row in numbered for piece in row[:-1]) or any(
        row[-1].is_value for row in run if len(row) > 1 and row not in numbered
    )
    if numbered and not amounts:
        return True
    pieces = [piece for row in run for piece in row]
    maths = sum(1 for p in pieces if p.line.font & fonts.MATH or "=" in p.text)
    return maths > 0.25 * len(pieces)


def _has_caption(box: BBox, captions: Sequence[Line]) -> bool:
    x0, y0, x1, y1 = box
    return any(
        line.x0 < x1
        and line.x1 > x0
        and (-5 < y0 - line.y1 < _MAX_CAPTION_GAP or -5 < line.y0 - y1 < _MAX_CAPTION_GAP)
        for line in captions
    )


def _header_rows(rows: Sequence[Sequence[str]]) -> int:
    """Returns the number of top rows without a number after the first column, above rows with."""
    for index, row in enumerate(rows[:4]):
        if any(any(map(str.isdigit, cell)) for cell in row[1:]):
            return max(1, index)
    return 1
