"""Names of columns that stand free over a drawn table, in several rows and over several columns."""

from pathlib import Path

import pytest
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

from doctune.documents import parse_pdf

VALUES = [["Water", "12", "14", "16", "18"], ["Oil", "22", "24", "26", "28"]]


def draw(path: Path, heads: list[list[tuple[float, str]]], rules: bool = False) -> Path:
    """A table whose body is drawn, under rows of names centred at places."""
    canvas = Canvas(str(path), pagesize=A4)
    canvas.setFont("Helvetica", 10)
    for number in range(6):
        canvas.drawString(
            72, 780 - 14 * number, "The pump starts when the pressure falls below it."
        )
    sides = [72, 172, 232, 292, 352, 412]
    for y in (600, 584, 568):
        canvas.line(sides[0], y, sides[-1], y)
    for x in sides:
        canvas.line(x, 568, x, 600)
    for r, row in enumerate(VALUES):
        canvas.drawString(76, 588 - 16 * r, row[0])
        for c, cell in enumerate(row[1:]):
            canvas.drawCentredString(202 + 60 * c, 588 - 16 * r, cell)
    for level, names in enumerate(reversed(heads)):
        for x, name in names:
            canvas.drawCentredString(x, 604 + 14 * level, name)
    if rules:
        canvas.line(176, 615.5, 288, 615.5)
        canvas.line(296, 615.5, 408, 615.5)
    canvas.save()
    return path


NAMES = [(202, "May"), (262, "June"), (322, "May"), (382, "June")]


@pytest.mark.parametrize("rules", [False, True])
def test_titles_over_several_columns_are_spans_and_repeated_in_markdown(
    tmp_path: Path, rules: bool
) -> None:
    heads = [[(232, "Plant one"), (352, "Plant two")], NAMES]
    (table,) = parse_pdf(draw(tmp_path / "a.pdf", heads, rules)).tables
    assert table.rows is not None
    assert table.rows[0] == ("", "Plant one", "", "Plant two", "")
    assert table.rows[1:] == (("", "May", "June", "May", "June"), *map(tuple, VALUES))
    assert table.spans == ((0, 1, 1, 2), (0, 3, 1, 2))
    assert table.header_rows == 2
    assert table.text.splitlines()[0] == "|  | Plant one | Plant one | Plant two | Plant two |"


def test_a_title_over_all_columns_of_values_names_each(tmp_path: Path) -> None:
    heads = [[(292, "Year ended")], NAMES]
    (table,) = parse_pdf(draw(tmp_path / "a.pdf", heads)).tables
    assert table.spans == ((0, 1, 1, 4),)
    assert table.text.splitlines()[0].count("Year ended") == 4


def draw_free(path: Path, titles: list[tuple[float, str]], names: list[str], rules: bool) -> Path:
    """A table without drawn cells: titles centred at places over the names of four columns."""
    canvas = Canvas(str(path), pagesize=A4)
    canvas.setFont("Helvetica", 10)
    for x, title in titles:
        canvas.drawCentredString(x, 687, title)
    if rules:
        for y, x0, x1 in ((700, 72, 480), (683, 195, 300), (683, 335, 440), (667, 72, 480)):
            canvas.line(x0, y, x1, y)
    values = [[f"{name}", "12.3", "4.5", "13.1", "4.9"] for name in ("Oslo", "Bergen", "Bodo")]
    for row, cells in enumerate([names, *values]):
        for x, cell in zip((72, 200, 270, 340, 410), cells, strict=True):
            canvas.drawString(x, 672 - 15 * row, cell)
    canvas.save()
    return path


@pytest.mark.parametrize(
    ("titles", "names", "rules", "spans"),
    [
        (
            [(245, "2019"), (385, "2020")],
            ["City", "Flow", "Loss", "Flow", "Loss"],
            True,
            ((0, 1, 1, 2), (0, 3, 1, 2)),
        ),
        (
            [(317, "Year Ended May 31,")],
            ["", "2017", "2018", "2019", "2020"],
            False,
            ((0, 1, 1, 4),),
        ),
    ],
    ids=["years over pairs", "one title over all"],
)
def test_titles_of_a_table_without_cells_span_what_they_stand_over(
    tmp_path: Path,
    titles: list[tuple[float, str]],
    names: list[str],
    rules: bool,
    spans: tuple[tuple[int, int, int, int], ...],
) -> None:
    (table,) = parse_pdf(draw_free(tmp_path / "a.pdf", titles, names, rules)).tables
    assert table.spans == spans


def test_a_table_with_its_names_in_drawn_cells_takes_no_text_above_it(tmp_path: Path) -> None:
    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=A4)
    canvas.drawString(150, 606, "Prices in May")
    rows = [["Pump", "Flow", "Price"], ["Alba", "12 l", "340"], ["Borea", "25 l", "610"]]
    for y in (600, 584, 568, 552):
        canvas.line(72, y, 372, y)
    for x in (72, 172, 272, 372):
        canvas.line(x, 552, x, 600)
    for r, row in enumerate(rows):
        for c, cell in enumerate(row):
            canvas.drawString(76 + 100 * c, 588 - 16 * r, cell)
    canvas.save()
    (table,) = parse_pdf(tmp_path / "a.pdf").tables
    assert table.rows == tuple(map(tuple, rows))


def test_a_sentence_above_a_table_is_none_of_its_names(tmp_path: Path) -> None:
    heads = [[(242, "All values were measured in the tank, as in the year before it,")]]
    document = parse_pdf(draw(tmp_path / "a.pdf", heads))
    (table,) = document.tables
    assert table.rows is not None
    assert table.rows[0] == tuple(VALUES[0])
    assert "All values were measured" in document.text
