"""Running lines around a text, and tables under names that go over several columns."""

from tests.documents.pages.sheet import PROSE, WIDTH, Fact, Sheet, absent, cell, order, present

BODY = PROSE * 8
TOP, BOTTOM = 40.0, 806.0
FIRST = "The pump starts when the pressure in the tank falls below the lower limit."


def journal(sheet: Sheet) -> list[Fact]:
    sheet.write(72, TOP, "Marlow et al.: Pumps and their limits", 8)
    sheet.centre(WIDTH / 2, 90, "On the limits of pumps", 18, "Helvetica-Bold")
    sheet.prose(72, 130, BODY)
    sheet.write(72, BOTTOM, "March 2014 | Volume 8 | Issue 3 | e2748", 8)
    sheet.write(500, BOTTOM, "1", 8)
    return [
        absent("Marlow et al."),
        absent("Volume 8"),
        {"type": "absent", "text": "1", "last_n": 20},
        present("On the limits of pumps"),
    ]


def stamped(sheet: Sheet) -> list[Fact]:
    sheet.centre(WIDTH / 2, 24, "Downloaded from http://pumps.example.org/ on July 12, 2017", 7)
    sheet.write(72, TOP + 4, "Pumps in action", 9)
    sheet.write(510, TOP + 4, "447", 9)
    sheet.prose(72, 90, BODY)
    sheet.write(72, BOTTOM, "Download date: 28 Dec 2018", 8)
    return [
        absent("Downloaded from"),
        absent("447"),
        absent("Pumps in action"),
        absent("Download date"),
        present(FIRST),
    ]


def manual(sheet: Sheet) -> list[Fact]:
    sheet.prose(72, 90, BODY)
    sheet.write(72, BOTTOM, "Revision: 2.4")
    sheet.centre(WIDTH / 2, BOTTOM, "P/N 119-036")
    sheet.write(470, BOTTOM, "10 June 2019")
    return [absent("Revision: 2.4"), absent("P/N 119-036"), absent("10 June 2019")]


def printed_from_a_browser(sheet: Sheet) -> list[Fact]:
    sheet.write(24, 20, "10/1/24, 3:42 PM", 7)
    sheet.write(260, 20, "The limits of pumps - Marlow", 7)
    sheet.prose(72, 90, BODY)
    sheet.write(24, 826, "https://pumps.example.org/limits", 7)
    sheet.write(550, 826, "1/34", 7)
    return [absent("3:42 PM"), absent("https://pumps.example.org"), absent("1/34"), present(FIRST)]


def old_book(sheet: Sheet) -> list[Fact]:
    sheet.write(72, TOP, "400")
    sheet.centre(WIDTH / 2, TOP, "BRITISH PUMPS.")
    sheet.write(440, TOP, "[Ch. XIX.")
    sheet.prose(72, 80, BODY)
    return [absent("400"), absent("BRITISH PUMPS"), absent("XIX"), present(FIRST)]


def short_page(sheet: Sheet) -> list[Fact]:
    sheet.prose(72, 90, BODY[:12])
    sheet.centre(250, 300, "62")
    return [absent("62"), present(FIRST)]


def letter(sheet: Sheet) -> list[Fact]:
    sheet.write(72, TOP + 20, "10 June 2019")
    sheet.write(72, TOP + 50, "Dear Ms Marlow,")
    sheet.prose(72, TOP + 80, BODY[:16])
    sheet.write(72, 760, "Yours sincerely, the fitter of the works")
    return [present("10 June 2019"), present("Dear Ms Marlow,"), present("Yours sincerely")]


def heading_first(sheet: Sheet) -> list[Fact]:
    sheet.write(72, TOP, "2 The limits of pumps", 12, "Helvetica-Bold")
    sheet.prose(72, 70, BODY)
    return [order("2 The limits of pumps", FIRST)]


def no_margin(sheet: Sheet) -> list[Fact]:
    sheet.prose(72, 30, PROSE * 14)
    return [present(FIRST)]


_ROWS = (("Water", "12", "14", "16", "18"), ("Oil", "22", "24", "26", "28"))
_MONTHS = ("May", "June", "May", "June")


def _body(sheet: Sheet, names: bool = True) -> None:
    sheet.prose(72, 80)
    sheet.grid(72, 300, [100, 60, 60, 60, 60], _ROWS)
    for number, month in enumerate(_MONTHS if names else ()):
        sheet.centre(202 + 60 * number, 294, month, 9)


def spanning(sheet: Sheet) -> list[Fact]:
    _body(sheet)
    sheet.centre(232, 280, "Plant one", 9)
    sheet.centre(352, 280, "Plant two", 9)
    return [
        cell("14", top_heading="Plant one"),
        cell("28", top_heading="Plant two"),
        cell("26", top_heading="May"),
        cell("22", left_heading="Oil"),
    ]


def year_ended(sheet: Sheet) -> list[Fact]:
    _body(sheet)
    sheet.centre(292, 280, "Year Ended", 9)
    sheet.rule(172, 412, 283)
    return [cell("12", top_heading="Year Ended"), cell("28", top_heading="Year Ended")]


def total_below(sheet: Sheet) -> list[Fact]:
    _body(sheet)
    for x, text in ((90, "Total"), (202, "34"), (262, "38"), (322, "42"), (382, "46")):
        sheet.centre(x, 344, text, 9)
    return [cell("38", left="34"), cell("46", top_heading="June")]


def drawn_spans(sheet: Sheet) -> list[Fact]:
    sheet.prose(72, 80)
    sheet.grid(72, 316, [100, 60, 60, 60, 60], (("", *_MONTHS), *_ROWS))
    for x in (72, 172, 292, 412):
        sheet.canvas.line(x, 841.89 - 300, x, 841.89 - 316)
    sheet.rule(72, 412, 300)
    sheet.centre(232, 311, "Plant one", 9)
    sheet.centre(352, 311, "Plant two", 9)
    return [cell("14", top_heading="Plant one"), cell("18", top_heading="Plant two")]


def slanted_names(sheet: Sheet) -> list[Fact]:
    _body(sheet, names=False)
    for number, name in enumerate(("Procedure", "Completion", "Knowledge", "Noise")):
        sheet.canvas.saveState()
        sheet.canvas.translate(190 + 60 * number, 841.89 - 294)
        sheet.canvas.rotate(90)
        sheet.canvas.setFont("Helvetica", 9)
        sheet.canvas.drawString(0, 0, name)
        sheet.canvas.restoreState()
    return [present("Completion"), cell("12", left_heading="Water")]


PAGES = (
    journal,
    stamped,
    manual,
    printed_from_a_browser,
    old_book,
    short_page,
    letter,
    heading_first,
    no_margin,
    spanning,
    year_ended,
    total_below,
    drawn_spans,
    slanted_names,
)
