"""Characters that fonts of TeX do not name rightly, and accents that are drawn by themselves."""

from pathlib import Path

import pytest
from reportlab.pdfbase.pdfmetrics import stringWidth

from doctune.documents import parse_pdf
from doctune.documents.fonts import BOLD, _style
from tests.documents.rawpdf import one_page, stream, write_raw

SIZE = 10
ACUTE = "\u00b4"


def draw(pieces: list[tuple[str, float]]) -> bytes:
    """Draws pieces of text, each at its distance from the left margin in points."""
    shown = "".join(
        f"1 0 0 1 {72 + x:.2f} 700 Tm ({text.replace(ACUTE, chr(92) + '264')}) Tj "
        for text, x in pieces
    )
    return stream(f"BT /F1 {SIZE} Tf {shown} ET".encode())


def over(text: str, index: int) -> float:
    """Where an accent stands that is centred over a character of a text."""
    left = stringWidth(text[:index], "Helvetica", SIZE)
    wide = stringWidth(text[index], "Helvetica", SIZE) - stringWidth(ACUTE, "Helvetica", SIZE)
    return left + wide / 2


def after(text: str) -> float:
    return stringWidth(text, "Helvetica", SIZE)


NAMES = "Soszynski, Szymanski"


@pytest.mark.parametrize(
    ("pieces", "read"),
    [
        (
            [("Szyma", 0), (ACUTE, over("Szymanski", 5)), ("nski", after("Szyma"))],
            "Szyma\u0144ski",
        ),
        (
            [
                (NAMES[:16], 0),
                (ACUTE, over(NAMES, 5)),
                (NAMES[16:], after(NAMES[:16])),
                (ACUTE, over(NAMES, 16)),
            ],
            "Soszy\u0144ski, Szyma\u0144ski",
        ),
        (
            [("in ", 0), (ACUTE, over("in etat", 3)), ("etat", after("in "))],
            "in \u00e9tat",
        ),
    ],
    ids=["within a word", "each drawn after the other's word", "at a word's beginning"],
)
def test_an_accent_joins_its_letter_and_parts_no_word(
    pieces: list[tuple[str, float]], read: str, tmp_path: Path
) -> None:
    path = write_raw(tmp_path / "accents.pdf", one_page(draw(pieces)))
    assert parse_pdf(path).text == read


@pytest.mark.parametrize(
    ("name", "weight", "bold"),
    [
        ("nimbusromno9l-regu", 700, False),
        ("nimbusromno9l-medi", 400, True),
        ("helvetica", 700, True),
        ("timesnewromanps-boldmt", 400, True),
    ],
)
def test_a_fonts_name_says_more_of_its_weight_than_its_stems(
    name: str, weight: int, bold: bool
) -> None:
    assert bool(_style(name, 0, weight) & BOLD) == bold
