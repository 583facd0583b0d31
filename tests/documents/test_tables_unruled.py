"""Tables without drawn cells: heads of several rows, close columns, parts."""

from pathlib import Path

import pytest
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

from doctune.documents import parse_pdf
from doctune.documents.model import Block

SIZE = 10.0
YEARS = [["Alba", "12.5", "13.1", "14.0"], ["Borea", "22.5", "23.1", "24.0"]]
YEARS += [["Cirro", "32.5", "33.1", "34.0"], ["Delta", "42.5", "43.1", "44.0"]]


class Page:
    """A page on which each line is drawn by its pieces."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.canvas = Canvas(str(path), pagesize=A4)
        self.canvas.setFont("Helvetica", SIZE)

    def row(self, top: float, pieces: dict[float, str]) -> None:
        for x, text in pieces.items():
            self.canvas.drawString(x, A4[1] - top, text)

    def rule(self, top: float, left: float, right: float) -> None:
        self.canvas.line(left, A4[1] - top, right, A4[1] - top)

    def tables(self) -> list[Block]:
        self.canvas.save()
        return parse_pdf(self.path).tables


@pytest.fixture
def page(tmp_path: Path) -> Page:
    return Page(tmp_path / "page.pdf")


def draw_years(page: Page, top: float = 130, xs: tuple[float, ...] = (80, 200, 280, 360)) -> None:
    for number, row in enumerate(YEARS):
        page.row(top + 14 * number, dict(zip(xs, row, strict=True)))


def rows_of(table: Block) -> list[list[str]]:
    return [list(row) for row in table.rows or ()]


def test_columns_of_numbers_hardly_apart_are_columns(page: Page) -> None:
    for number in range(6):
        values = {200 + 50 * column: f"1,{number}{column}4,700" for column in range(6)}
        page.row(100 + 14 * number, {80: f"Pump {number}"} | values)
    (table,) = page.tables()
    assert rows_of(table) == [
        [f"Pump {number}", *(f"1,{number}{column}4,700" for column in range(6))]
        for number in range(6)
    ]


def test_a_row_of_numbers_too_long_for_gaps_is_a_row(page: Page) -> None:
    xs = [200 + 40 * column for column in range(6)]
    rows = [[f"{n}0", *(f"{n}{column}.5" for column in range(6))] for n in range(1, 5)]
    rows.append(["85+", *(f"{column},444.5" for column in range(1, 7))])
    for number, row in enumerate(rows):
        page.row(100 + 14 * number, dict(zip([175, *xs], row, strict=True)))
    (table,) = page.tables()
    assert rows_of(table) == rows


def test_text_in_columns_below_a_table_is_no_row_of_it(page: Page) -> None:
    page.row(116, {80: "Pump", 200: "low", 280: "usual", 360: "high"})
    draw_years(page)
    for number in range(8):
        left = "The pumps were measured for a whole year in"
        right = "a cellar that was neither warm nor cold, and"
        page.row(186 + 12 * number, {60: left, 310: right})
    (table,) = page.tables()
    assert rows_of(table) == [["Pump", "low", "usual", "high"], *YEARS]


def test_a_title_belongs_to_the_columns_that_the_rule_below_it_covers(page: Page) -> None:
    page.row(100, {200: "Flow in litres"})
    page.rule(103, 200, 385)
    page.row(115, {80: "Pump", 200: "2019", 280: "2020", 360: "2021"})
    page.rule(119, 80, 385)
    draw_years(page)
    (table,) = page.tables()
    assert rows_of(table) == [
        ["", "Flow in litres", "", ""],
        ["Pump", "2019", "2020", "2021"],
        *YEARS,
    ]
    assert table.spans == ((0, 1, 1, 3),)
    assert table.header_rows == 2


def test_a_title_without_a_rule_belongs_to_the_columns_that_it_is_centred_over(page: Page) -> None:
    xs = (80, 200, 260, 340, 400)
    page.canvas.drawCentredString(240, A4[1] - 100, "Flow")
    page.canvas.drawCentredString(380, A4[1] - 100, "Price")
    page.row(115, dict(zip(xs, ["Pump", "low", "high", "low", "high"], strict=True)))
    for number in range(4):
        values = [f"Pump {number}", "12.5", "14.0", "22.5", "24.0"]
        page.row(130 + 14 * number, dict(zip(xs, values, strict=True)))
    (table,) = page.tables()
    assert rows_of(table)[0] == ["", "Flow", "", "Price", ""]
    assert table.spans == ((0, 1, 1, 2), (0, 3, 1, 2))


def test_names_of_columns_in_two_lines_above_a_rule_are_one_row(page: Page) -> None:
    page.row(103, {200: "Flow at", 280: "Flow at", 360: "Price"})
    page.row(114, {80: "Pump", 200: "low", 280: "high", 360: "in crowns"})
    page.rule(118, 80, 400)
    draw_years(page)
    (table,) = page.tables()
    assert rows_of(table)[0] == ["Pump", "Flow at low", "Flow at high", "Price in crowns"]
    assert rows_of(table)[1:] == YEARS


def test_a_unit_above_the_rule_over_the_table_is_no_row(page: Page) -> None:
    page.row(90, {260: "[In litres]"})
    page.rule(95, 80, 400)
    page.row(107, {80: "Pump", 200: "low", 280: "usual", 360: "high"})
    page.rule(112, 80, 400)
    draw_years(page, 124)
    (table,) = page.tables()
    assert rows_of(table) == [["Pump", "low", "usual", "high"], *YEARS]


def test_parts_with_more_space_between_them_are_one_table(page: Page) -> None:
    page.row(110, {80: "Pump", 200: "low", 280: "usual", 360: "high"})
    page.row(124, {80: "New"})
    draw_years(page, 138)
    page.row(220, {80: "Used"})
    draw_years(page, 234)
    (table,) = page.tables()
    assert rows_of(table)[1:] == [
        ["New", "", "", ""],
        *YEARS,
        ["Used", "", "", ""],
        *YEARS,
    ]


def test_a_long_label_over_the_values_does_not_end_a_table(page: Page) -> None:
    page.row(110, {80: "Pump", 200: "low", 280: "usual", 360: "high"})
    draw_years(page, 124)
    page.row(180, {200: "Difference between what was measured and what was told"})
    draw_years(page, 194)
    (table,) = page.tables()
    assert len(table.rows or ()) == 2 * len(YEARS) + 2


def test_both_cells_of_a_row_may_go_on_in_a_second_line(page: Page) -> None:
    page.row(70, {80: "Table 1. What the makers of pumps say of them"})
    for number, name in enumerate(["Alba", "Borea", "Cirro", "Delta"]):
        page.row(100 + 24 * number, {80: f"{name} with a filter that is", 300: "Rises by 12 % or"})
        page.row(112 + 24 * number, {80: "washed by hand", 300: "more at low flow"})
    page.row(196, {80: "Sum", 300: "100 %"})
    (table,) = page.tables()
    assert rows_of(table)[0] == [
        "Alba with a filter that is washed by hand",
        "Rises by 12 % or more at low flow",
    ]


@pytest.mark.parametrize("text", ["1 " * 2000, ". - " * 1000, "1,1 (" * 800, "$ " * 1500])
def test_endless_rows_of_numbers_and_signs_are_read(page: Page, text: str) -> None:
    page.canvas.setFont("Helvetica", 0.5)
    for number in range(8):
        page.row(100 + 14 * number, {20: text, 500: "12"})
    page.tables()


def test_losses_in_brackets_are_amounts_not_numbers_of_formulas(page: Page) -> None:
    rows = [["", "2030", "2031"], ["Revenue", "1,200", "1,450"], ["Costs", "(900)", "(950)"]]
    for number, row in enumerate(rows):
        page.row(130 + 14 * number, dict(zip((80, 200, 280), row, strict=True)))
    (table,) = page.tables()
    assert rows_of(table) == rows
