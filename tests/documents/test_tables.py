"""Tables: with rules, sparsely ruled, without rules, and what only looks like one."""

from collections.abc import Callable
from pathlib import Path

import pdfplumber
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pdfplumber import table as pdfplumber_table
from reportlab.lib import colors
from reportlab.platypus import Flowable, Paragraph, Table, TableStyle

from doctune.documents import ParseOptions, parse_pdf
from doctune.documents.drawing import Edge
from doctune.documents.tables.ruled import find_cells
from tests.documents.conftest import PROSE, STYLES, code, prose

MakePdf = Callable[..., Path]
FIGURES = [
    ["Month", "Alba", "Borea", "Cirro"],
    ["January", "9.1", "22.8", "43.0"],
    ["February", "10.4", "25.1", "47.9"],
    ["March", "12.0", "28.3", "51.2"],
    ["April", "8.7", "20.9", "39.5"],
]


def table(rows: list[list[str]], *styles: tuple[object, ...], widths: int = 90) -> Flowable:
    return Table(rows, colWidths=[widths] * len(rows[0]), style=TableStyle(list(styles)))


def rows_of(path: Path) -> list[list[list[str]]]:
    return [[list(row) for row in block.rows or ()] for block in parse_pdf(path).tables]


def test_table_without_rules_is_found_between_prose(make_pdf: MakePdf) -> None:
    path = make_pdf("free.pdf", [prose(), table(FIGURES), prose()])
    assert rows_of(path) == [FIGURES]
    assert not parse_pdf(path, ParseOptions(tables="ruled")).tables


def test_rows_within_one_drawn_body_are_split(make_pdf: MakePdf) -> None:
    box = ("BOX", (0, 1), (-1, -1), 0.5, colors.black)
    head = ("GRID", (0, 0), (-1, 0), 0.5, colors.black)
    lines = ("LINEBEFORE", (1, 1), (-1, -1), 0.5, colors.black)
    path = make_pdf("sparse.pdf", [prose(), table(FIGURES, box, head, lines)])
    assert rows_of(path) == [FIGURES]


def test_table_open_at_its_sides_keeps_its_outer_columns(make_pdf: MakePdf) -> None:
    rules = ("LINEBELOW", (0, 0), (-1, -1), 0.5, colors.black)
    top = ("LINEABOVE", (0, 0), (-1, 0), 0.5, colors.black)
    inner = ("LINEBEFORE", (1, 0), (-1, -1), 0.5, colors.black)
    path = make_pdf("open.pdf", [prose(), table(FIGURES, rules, top, inner)])
    assert rows_of(path) == [FIGURES]


def test_merged_cells_are_spans(make_pdf: MakePdf) -> None:
    rows = [["Yield", "", "Price"], ["low", "high", "crowns"], ["9", "14", "690"]]
    grid = ("GRID", (0, 0), (-1, -1), 0.5, colors.black)
    path = make_pdf("merged.pdf", [table(rows, grid, ("SPAN", (0, 0), (1, 0)))])
    (block,) = parse_pdf(path).tables
    assert [list(row) for row in block.rows or ()] == rows
    assert block.spans == ((0, 0, 1, 2),)
    assert block.header_rows == 2


def test_a_table_of_rows_that_span_names_its_columns_in_one_row(make_pdf: MakePdf) -> None:
    rows = [["Maker", "Pump", "Price"], ["Ada", "Alba", "690"], ["", "Borea", "710"]]
    grid = ("GRID", (0, 0), (-1, -1), 0.5, colors.black)
    path = make_pdf("spans.pdf", [table(rows, grid, ("SPAN", (0, 1), (0, 2)))])
    (block,) = parse_pdf(path).tables
    assert [list(row) for row in block.rows or ()] == rows
    assert block.spans == ((1, 0, 2, 1),)
    assert block.header_rows == 1


def test_no_word_of_a_page_gets_lost_in_a_table(make_pdf: MakePdf) -> None:
    cells = [["a" * 30, "1"], ["overflowing words here", "2"], ["short", "3"]]
    grid = ("GRID", (0, 0), (-1, -1), 0.5, colors.black)
    path = make_pdf("overflow.pdf", [table(cells, grid, widths=60), prose()])
    with_tables = parse_pdf(path).text.split()
    without = parse_pdf(path, ParseOptions(tables="none")).text.split()
    assert sorted("".join(with_tables)) == sorted("".join(without))


@pytest.mark.parametrize(
    "story",
    [
        [prose(PROSE * 6)],
        [Table([[Paragraph(PROSE * 3, STYLES["BodyText"])] * 2])],
        [code("for pump in pumps:\n    pump.start()\n    pump.stop()\nprint(1)")],
        [prose(f"{n}. Introduction {'. ' * 30} {n}") for n in range(1, 8)],
    ],
    ids=["prose", "columns of prose", "code", "contents"],
)
def test_what_is_no_table_is_none(make_pdf: MakePdf, story: list[Flowable]) -> None:
    assert rows_of(make_pdf("none.pdf", story)) == []


GRID = ("GRID", (0, 0), (-1, -1), 0.5, colors.black)
PAINTED = [("BACKGROUND", (0, n), (-1, n), colors.whitesmoke) for n in range(0, 5, 2)]


@pytest.mark.parametrize(
    ("rows", "styles"),
    [
        (FIGURES, [GRID]),
        (FIGURES, [GRID, *PAINTED]),
        (FIGURES, [("BOX", (0, 0), (-1, -1), 2, colors.black), ("INNERGRID", *GRID[1:])]),
        (FIGURES, [GRID, ("FONTSIZE", (0, 0), (-1, -1), 6), ("LEADING", (0, 0), (-1, -1), 7)]),
        ([["Yield", "", "Price"], *[row[:3] for row in FIGURES]], [GRID, ("SPAN", (0, 0), (1, 0))]),
        ([[row[0], "of a\nmonth", row[2]] for row in FIGURES], [GRID]),
        ([["", *row[1:]] for row in FIGURES], [GRID]),
    ],
    ids=["grid", "painted", "box", "small", "span", "two lines", "no labels"],
)
def test_ruled_tables_are_read_no_worse_than_by_pdfplumber(
    make_pdf: MakePdf, rows: list[list[str]], styles: list[tuple[object, ...]]
) -> None:
    path = make_pdf("ruled.pdf", [prose(), table(rows, *styles), prose()])
    with pdfplumber.open(path) as file:
        theirs = [[cell or "" for cell in row] for row in file.pages[0].extract_tables()[0]]
    (ours,) = rows_of(path)
    read = {cell for row in ours for cell in row}
    assert read >= {cell.replace("\n", " ") for row in theirs for cell in row if cell}
    assert len(ours) == len(theirs) == len(rows)


coordinates = st.integers(0, 12).map(lambda step: step * 20.0)
edges = st.tuples(coordinates, coordinates, coordinates).filter(lambda e: e[1] != e[2])


@settings(max_examples=150, deadline=None)
@given(st.lists(edges, max_size=25), st.lists(edges, max_size=25))
def test_cells_are_those_of_pdfplumber(
    across: list[tuple[float, ...]], down: list[tuple[float, ...]]
) -> None:
    horizontal = [Edge(place, min(ends), max(ends)) for place, *ends in across]
    vertical = [Edge(place, min(ends), max(ends)) for place, *ends in down]
    theirs = pdfplumber_table.merge_edges(
        [_as_pdfplumber(edge, "h") for edge in horizontal]
        + [_as_pdfplumber(edge, "v") for edge in vertical],
        *[3] * 4,
    )
    crossings = pdfplumber_table.edges_to_intersections(theirs, 3, 3)
    cells = set(pdfplumber_table.intersections_to_cells(crossings))
    ours = {cell for group in find_cells(horizontal, vertical) for cell in group}
    # Ours leaves out frames of one column, and closes sides that pdfplumber leaves open.
    lone = {cell for cell in cells - ours if _has_neighbour(cell, cells)}
    assert not lone


def _has_neighbour(
    cell: tuple[float, float, float, float], cells: set[tuple[float, float, float, float]]
) -> bool:
    """Whether a cell beside it shares a corner: then they are of one table of two columns."""
    x0, y0, x1, y1 = cell
    return any(
        other[0] != x0 and {(x0, y0), (x0, y1), (x1, y0), (x1, y1)} & set(_corners(other))
        for other in cells
    )


def _corners(cell: tuple[float, float, float, float]) -> list[tuple[float, float]]:
    x0, y0, x1, y1 = cell
    return [(x0, y0), (x0, y1), (x1, y0), (x1, y1)]


def _as_pdfplumber(edge: Edge, orientation: str) -> dict[str, object]:
    place, start, end = edge
    box = (start, place, end, place) if orientation == "h" else (place, start, place, end)
    x0, top, x1, bottom = box
    return {
        "x0": x0,
        "x1": x1,
        "top": top,
        "bottom": bottom,
        "doctop": top,
        "width": x1 - x0,
        "height": bottom - top,
        "orientation": orientation,
        "object_type": "line",
    }
