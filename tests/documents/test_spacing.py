"""Letters that were set apart."""

from pathlib import Path

import pytest
from reportlab.pdfgen.canvas import Canvas

from doctune.documents.geometry import page_space
from doctune.documents.lines import PageText
from doctune.documents.pdfium import PdfFile
from doctune.documents.spacing import fix_letter_spacing
from doctune.documents.words import clean_text
from tests.documents.rawpdf import one_page, stream, write_raw


def lines_of(path: Path, *, fixed: bool = True) -> list[str]:
    with PdfFile(path) as file, file.page(0) as page, PageText(page, page_space(page)) as text:
        lines = text.lines()
        if fixed:
            fix_letter_spacing(lines, text)
        return [clean_text(line.text) for line in lines]


def spaced(text: str, letter: int, word: int) -> bytes:
    """An operator that shows letters with gaps between them and words, in thousandths of an em."""
    shown = [f"({char}) {-letter}" for char in text]
    shown = [f"{-word}" if char == " " else item for char, item in zip(text, shown, strict=True)]
    return f"[{' '.join(shown)}] TJ".encode()


def test_letters_set_apart_become_words(tmp_path: Path) -> None:
    rows = ["install all of it till it fits in", "a little list is in the file", "of all titles"]
    shown = b" 0 -11 Td ".join(spaced(row, 170, 600) for row in rows)
    objects = one_page(stream(b"BT /F1 9 Tf 72 700 Td " + shown + b" ET"))
    path = write_raw(tmp_path / "listing.pdf", objects)
    assert lines_of(path, fixed=False) != rows
    assert lines_of(path) == rows


@pytest.mark.parametrize(
    "text",
    [
        "I am, as a rule, on my own if it is of no use to me or to us at all.",
        "x = a b + c d - e f and so on",
        "1 2 3 4 5 6 7 8 9",
    ],
)
def test_short_words_stay_apart(tmp_path: Path, text: str) -> None:
    canvas = Canvas(str(tmp_path / "prose.pdf"))
    canvas.setFont("Helvetica", 10)
    canvas.drawString(72, 700, text)
    canvas.drawString(72, 688, "This line is an ordinary one that follows it.")
    canvas.save()
    assert lines_of(tmp_path / "prose.pdf")[0] == text
