"""Table rows with the heads of their columns."""

from doctune.knowledge.tables import is_heads_only, read_rows


def test_a_head_over_two_columns_is_carried_to_both() -> None:
    rows = read_rows(
        [["", "Three months", ""], ["", "2023", "2022"], ["Revenue", "13", "6"]], header_rows=2
    )

    assert rows[0].cells == (("Three months 2023", "13"), ("Three months 2022", "6"))


def test_heads_that_stand_in_a_table_of_their_own_are_joined() -> None:
    above = [["Three Months Ended", "", "Nine Months Ended", ""], ["June 25,", "June 26,"] * 2]
    body = [["Net income", "$", "19,442", "$", "21,744", "$", "79,082", "$", "74,129"]]
    assert is_heads_only(above)

    (row,) = read_rows(body, header_rows=0, above=above)

    assert row.cells[0] == ("Three Months Ended June 25,", "$19,442")
    assert row.cells[3] == ("Nine Months Ended June 26,", "$74,129")


def test_a_currency_sign_belongs_to_the_figure_after_it() -> None:
    (row,) = read_rows([["Basic", "$", "1.20", "$", "1.31"]], header_rows=0)

    assert [value for _, value in row.cells] == ["$1.20", "$1.31"]


def test_rows_under_a_group_carry_its_name() -> None:
    rows = read_rows(
        [["", "2022"], ["Current assets:", ""], ["Inventories", "5"], ["Total assets", "9"]],
        header_rows=1,
    )

    assert [row.label for row in rows] == ["Current assets: Inventories", "Total assets"]


def test_a_bare_code_is_read_out_with_its_head() -> None:
    (row,) = read_rows([["Code", "Meaning"], ["A02", "Filter due"]], header_rows=1)

    assert row.text() == "Code A02 — Meaning: Filter due"


def test_a_price_column_takes_the_currency_that_the_document_names() -> None:
    (row,) = read_rows(
        [["Part", "Price"], ["BR-1", "12"]], header_rows=1, notes={"price": "crowns"}
    )

    assert row.text() == "Part BR-1 — Price: 12 crowns"


def test_a_unit_that_heads_ranges_is_the_labels_and_not_the_cells() -> None:
    rows = read_rows(
        [["Hardness, degrees", "Sachets"], ["7 to 14", "1"], ["above 14", "2"]], header_rows=1
    )

    assert [row.text() for row in rows] == [
        "7 to 14 degrees — Sachets: 1",
        "above 14 degrees — Sachets: 2",
    ]


def test_a_caption_that_ends_in_a_unit_gives_it_to_bare_figures() -> None:
    (row,) = read_rows(
        [["Month", "Mark 1"], ["May", "9.1"]],
        header_rows=1,
        caption="Table 1. Mean yield, litres a day",
    )

    assert row.text() == "May — Mark 1: 9.1 litres a day"
