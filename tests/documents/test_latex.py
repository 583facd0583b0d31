"""Displayed formulas become LaTeX where the places of their characters say how they read."""

from pathlib import Path

import pytest
from reportlab.lib.pagesizes import A4
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from doctune.documents import parse_pdf
from doctune.documents.latex import Bar, Glyph, write_latex
from doctune.documents.latex_symbols import UnsureError

_DEJAVU = Path("/usr/share/fonts/truetype/dejavu/DejaVuSerif.ttf")


def row(text: str, x: float = 0.0, base: float = 100.0, size: float = 10.0) -> list[Glyph]:
    """Characters beside each other, each 0.6 em wide; a space is a gap."""
    return [
        Glyph(
            char,
            x + 0.6 * size * place,
            base - 0.7 * size,
            x + 0.6 * size * place + 0.5 * size,
            base,
            base,
            size,
        )
        for place, char in enumerate(text)
        if char != " "
    ]


def test_scripts_are_told_by_size_and_height() -> None:
    glyphs = row("e") + row("i\u03c0", 6, 95, 7) + row("+1=0", 16)
    assert write_latex(glyphs, []) == r"e^{i\pi}+1=0"
    both = row("x") + row("k", 6, 103, 7) + row("2", 6, 95, 7)
    assert write_latex(both, []) == "x_{k}^{2}"
    nested = row("x") + row("n", 6, 95, 7) + row("k", 11, 97, 5)
    assert write_latex(nested, []) == "x^{n_{k}}"


def test_a_fraction_is_told_by_its_bar() -> None:
    glyphs = row("y=") + row("a+b", 14, 93) + row("c", 20, 110)
    assert write_latex(glyphs, [Bar(13, 33, 97)]) == r"y=\frac{a+b}{c}"


def test_a_fraction_within_a_fraction_is_read() -> None:
    glyphs = row("a", 12, 80) + row("b", 12, 93) + row("c", 12, 108)
    bars = [Bar(8, 24, 97), Bar(11, 19, 83)]
    assert write_latex(glyphs, bars) == r"\frac{\frac{a}{b}}{c}"


def test_a_root_is_told_by_its_rule() -> None:
    sign = Glyph("\u221a", 0, 90, 6, 102, 100, 10)
    assert write_latex([sign, *row("x+y", 7)], [Bar(6, 26, 91)]) == r"\sqrt{x+y}"


def test_limits_stand_over_and_under_their_operator() -> None:
    sign = Glyph("\u2211", 8, 92, 18, 104, 101, 10)
    glyphs = [sign, *row("i=1", 7, 112, 6), *row("n", 11, 90, 6), *row("x", 20)]
    assert write_latex(glyphs, []) == r"\sum_{i=1}^{n}x"


def test_names_of_functions_and_accents_are_commands() -> None:
    tight = [
        Glyph(char, 5.0 * place, 93, 5.0 * place + 4.8, 100, 100, 10)
        for place, char in enumerate("sin")
    ]
    assert write_latex([*tight, *row("x", 16)], []) == r"\sin x"
    tilde = Glyph("\u02dc", 0.2, 88, 5, 91, 99, 10)
    assert write_latex([*row("m"), tilde], []) == r"\tilde{m}"
    assert write_latex(row("\u0100=1"), []) == r"\bar{A}=1"


@pytest.mark.parametrize(
    ("glyphs", "bars"),
    [
        (row("a=b") + row("c=d", 0, 114), []),
        (row("2", 0, 95, 7) + row("x", 5), []),
        (row("a", 12, 93), [Bar(8, 24, 97)]),
        (row("\ufffd=1"), []),
        (row("x=") + row("2", 14, 95, 7), []),
    ],
    ids=["two lines", "script of nothing", "half a fraction", "no map", "script of a relation"],
)
def test_what_does_not_add_up_is_unsure(glyphs: list[Glyph], bars: list[Bar]) -> None:
    with pytest.raises(UnsureError):
        write_latex(glyphs, bars)


def draw(path: Path) -> None:
    pdfmetrics.registerFont(TTFont("DejaVu", str(_DEJAVU)))
    canvas = Canvas(str(path), pagesize=A4)
    canvas.drawString(72, 760, "The pressure in the tank follows from its height and the pump.")

    def put(x: float, y: float, text: str, size: float = 11) -> None:
        canvas.setFont("DejaVu", size)
        canvas.drawString(x, y, text)

    put(250, 700, "p =")
    put(280, 708, "\u03c1 + 1")
    put(288, 690, "2a")
    canvas.line(278, 703, 316, 703)
    put(322, 700, "\u2264 c")
    put(341, 705, "2", 7)
    canvas.setFont("Helvetica", 12)
    canvas.drawString(72, 640, "No other quantity has an influence on what the fitter reads there.")
    canvas.save()


@pytest.mark.skipif(not _DEJAVU.is_file(), reason="the font DejaVu is not installed")
def test_a_formula_is_latex_in_markdown_and_plain_in_the_text(tmp_path: Path) -> None:
    draw(tmp_path / "a.pdf")
    document = parse_pdf(tmp_path / "a.pdf")
    first, formula, last = document.blocks
    assert (first.kind, formula.kind, last.kind) == ("paragraph", "formula", "paragraph")
    assert formula.latex == r"p=\frac{\rho+1}{2a}\leq c^{2}"
    assert f"$${formula.latex}$$" in document.markdown
    assert "$" not in document.text
    assert document.pages[0].lost_chars == 0
