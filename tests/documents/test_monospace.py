"""A font of fixed width makes no code: typed prose and the text layers of scans are text."""

from pathlib import Path

import pytest
from PIL import Image
from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from doctune.documents import parse_pdf
from doctune.documents.monospace import is_prose

LETTER = [
    "any-was very trifling. Since the use of bones has become",
    "general, the crop has been, in many instances, ten-fold, and",
    "in few less than four or five-fold its former bulk. All the",
    "crops of grain that followed were better by as much again.",
]
CODE = ["def start(pump):", "    if pump.low:", "        return pump.open(3)", "    return None"]
LOG = [
    "brw-rw---- 1 root disk 8 0 Mar 3 sda",
    "brw-rw---- 1 root disk 8 1 Mar 3 sdb",
    "crw-rw-rw- 1 root root 1 5 Mar 3 zero",
]


@pytest.mark.parametrize(("lines", "expected"), [(LETTER, True), (CODE, False), (LOG, False)])
def test_prose_is_told_from_code_by_its_looks_and_words(lines: list[str], expected: bool) -> None:
    assert is_prose(lines) is expected


def test_a_typed_letter_is_a_paragraph_and_the_code_below_it_code(tmp_path: Path) -> None:
    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=A4)
    canvas.setFont("Courier", 11)
    for number, line in enumerate(LETTER):
        canvas.drawString(72, 760 - 14 * number, line)
    for number, line in enumerate(CODE):
        canvas.drawString(72, 600 - 14 * number, line)
    canvas.save()
    paragraph, code = parse_pdf(tmp_path / "a.pdf").blocks
    assert (paragraph.kind, paragraph.text) == ("paragraph", " ".join(LETTER))
    assert code.kind == "code"


def test_the_layer_of_a_scan_is_never_code(tmp_path: Path) -> None:
    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=A4)
    canvas.drawImage(ImageReader(Image.linear_gradient("L")), 0, 0, *A4)
    text = canvas.beginText(72, 760)
    text.setFont("Courier", 11)
    text.setTextRenderMode(3)
    for line in LETTER:
        text.textLine(line)
    canvas.drawText(text)
    canvas.save()
    (block,) = parse_pdf(tmp_path / "a.pdf").blocks
    assert (block.kind, block.text) == ("paragraph", " ".join(LETTER))
