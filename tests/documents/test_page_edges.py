"""Running lines are told on a single page; titles and first lines never are."""

from pathlib import Path

import pytest
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

from doctune.documents import parse_pdf

BODY = [
    "The pump starts when the pressure in the tank falls below the lower limit, and it stops",
    "again as soon as the upper limit is reached. Between the two limits nothing happens at",
    "all, and who waits for it waits in vain, as the fitter of the works has found before us.",
]
TOP, BOTTOM = A4[1] - 40, 34
Placed = tuple[float, float, str, int]


def kinds(path: Path, placed: list[Placed], font: str = "Helvetica") -> dict[str, str]:
    """The kind of each block of a page with lines around a body of text."""
    canvas = Canvas(str(path), pagesize=A4)
    for number in range(24):
        canvas.setFont("Helvetica", 10)
        canvas.drawString(72, 720 - 14 * number, BODY[number % 3])
    for x, y, text, size in placed:
        canvas.setFont(font, size)
        canvas.drawString(x, y, text)
    canvas.save()
    return {block.text: block.kind for block in parse_pdf(path).blocks}


@pytest.mark.parametrize(
    "placed",
    [
        [(290, BOTTOM, "17", 10)],
        [(290, BOTTOM, "- 17 -", 10)],
        [(270, BOTTOM, "Page 3 of 12", 9)],
        [(72, BOTTOM, "3/34", 8)],
        [(290, BOTTOM, "xiv", 10)],
        [(72, TOP, "Marlow et al.: Pumps and their limits", 8)],
        [(72, TOP, "Pumps and their limits", 9), (510, TOP, "447", 9)],
        [(72, TOP, "400", 10), (240, TOP, "BRITISH PUMPS.", 10), (480, TOP, "[Ch. XIX.", 10)],
        [(120, TOP, "Downloaded from http://pumps.example.org/ on July 12, 2017", 8)],
        [(72, BOTTOM, "Download date: 28 Dec 2018", 8)],
        [(72, BOTTOM, "March 2014 | Volume 8 | Issue 3 | e2748", 8)],
        [(72, BOTTOM, "Revision: 2.4", 10), (290, BOTTOM, "P/N 119-036", 10)],
        [(72, TOP, "J. Marlow and K. Reed", 8), (440, TOP, "Pump stations", 8)],
        [(72, TOP, "Confidential", 8), (420, TOP, "Draft of 12 May 2031", 8)],
        [(72, TOP, "EN", 8), (360, TOP, "Official Journal of the European Union", 8)],
        [(72, BOTTOM, "J Pumps. Author manuscript; available in PMC 2015 May 12.", 8)],
        [(72, TOP, "bioRxiv preprint; this version posted May 12, 2019.", 8)],
        [(72, BOTTOM, "Published by Marlow Archive, 1997", 8)],
        [(72, TOP, "OPEN ACCESS Freely available online", 9)],
        [(72, BOTTOM, "https://pumps.example.org/limits 1/34", 8)],
        [(72, TOP, "10/1/24, 3:42 PM", 8), (250, TOP, "The limits of pumps", 8)],
        [(72, BOTTOM, "\u00a9 2021 Marlow Press. All rights reserved.", 8)],
    ],
)
def test_running_lines_are_told_by_place_form_and_wording(
    tmp_path: Path, placed: list[Placed]
) -> None:
    found = kinds(tmp_path / "a.pdf", placed)
    for _, y, text, _ in placed:
        side = "header" if y == TOP else "footer"
        kind = next((kind for block, kind in found.items() if text in block), "lost")
        assert kind == side, f"{text!r} is a {kind}: {found}"


@pytest.mark.parametrize(
    "placed",
    [
        [(72, TOP, "The limits of pumps", 18)],
        [(72, TOP, "2 The limits of pumps", 12)],
        [(72, TOP, "Dear Ms Marlow,", 10)],
        [(72, TOP, "Minutes of the meeting of 3 March", 10)],
        [(72, TOP, "1984", 24)],
        [(72, TOP, "10 June 2019", 10)],
        [(72, TOP, "Name of the pump", 10), (440, TOP, "Its limit", 10)],
        [(72, TOP, "The manuscript is kept, and confidential", 10)],
        [
            (
                72,
                734,
                "Nobody had seen the pump before; it stood in the yard, and there it stayed.",
                10,
            )
        ],
        [(72, TOP, "To: all fitters", 10), (72, TOP - 14, "From: the office", 10)],
        [(72, BOTTOM + 20, "Yours sincerely, the fitter of the works at Marlow", 10)],
        [(72, 384, "all is well that ends well, and so does this page of prose on pumps.", 10)],
    ],
)
def test_titles_and_first_and_last_lines_stay(tmp_path: Path, placed: list[Placed]) -> None:
    found = kinds(tmp_path / "a.pdf", placed)
    for _, _, text, _ in placed:
        kind = next((kind for block, kind in found.items() if text in block), "lost")
        assert kind not in ("header", "footer", "lost"), f"{text!r} is a {kind}"
