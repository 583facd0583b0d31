"""What is compiled does what Python does: one behaviour, whichever of them a machine has."""

import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

from doctune.documents import foreign, native
from doctune.documents.drawing import Drawing, read_drawing
from doctune.documents.geometry import page_space
from doctune.documents.lines import Line, PageText, Word
from doctune.documents.page_objects import list_objects, read_fills
from doctune.documents.pdfium import PdfFile
from tests.documents.rawpdf import one_page, stream, write_raw

SAMPLES = Path(__file__).parents[2] / "samples" / "pdfs"
READABLE = ["installation-guide", "price-table-2031", "nimbrel-12-site-manual", "service-handbook"]

needs_native = pytest.mark.skipif(native.module is None, reason="no compiler was at hand")


Look = tuple[list[tuple[object, ...]], list[list[Word]], list[object], Drawing]


def read(path: Path) -> list[Look]:
    """The lines, words, characters with their fonts, and drawing of each page."""
    found = []
    with PdfFile(path) as file:
        for index in range(file.page_count):
            with file.page(index) as page:
                space = page_space(page)
                with PageText(page, space) as text:
                    lines = text.lines()
                    words = [text.words(line) for line in lines]
                    chars: list[object] = [asdict(g) for line in lines for g in text.glyphs(line)]
                    chars += text.fonts_at([line.spans[0][1] for line in lines])
                    handle = foreign.address_of(page)
                    chars += [len(list_objects(handle)), read_fills(handle)]
                drawing = read_drawing(page, space)
                found.append(([values(line) for line in lines], words, chars, drawing))
    return found


def values(line: Line) -> tuple[object, ...]:
    return tuple(getattr(line, name) for name in Line.__slots__)


def assert_same_without_native(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = read(path)
    monkeypatch.setattr(native, "module", None)
    plain = read(path)
    assert len(compiled) == len(plain) > 0
    for (lines, words, chars, drawing), (
        other_lines,
        other_words,
        other_chars,
        other_drawing,
    ) in zip(compiled, plain, strict=True):
        assert lines == other_lines
        assert words == other_words
        assert chars == other_chars
        assert vars(drawing) == vars(other_drawing)


@pytest.mark.skipif(shutil.which("cc") is None, reason="no compiler is at hand")
def test_it_is_compiled_where_there_is_a_compiler() -> None:
    assert native.module is not None


@needs_native
@pytest.mark.parametrize("name", READABLE)
def test_compiled_code_reads_a_sample_as_python_does(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_same_without_native(SAMPLES / f"{name}.pdf", monkeypatch)


@needs_native
@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_compiled_code_reads_turned_pages_and_text_as_python_does(
    quarters: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    canvas = Canvas(str(tmp_path / "turned.pdf"), pagesize=A4)
    canvas.setPageRotation(90 * quarters)
    canvas.drawString(72, 700, "The tank holds twelve litres.")
    canvas.scale(2, 2)
    canvas.drawString(40, 300, "Scaled to twice its size.")
    canvas.saveState()
    canvas.translate(100, 100)
    canvas.rotate(90)
    canvas.drawString(0, 0, "This text runs up the page.")
    canvas.rotate(-135)
    canvas.setFont("Helvetica", 40)
    canvas.drawString(0, 0, "DRAFT")
    canvas.restoreState()
    canvas.save()
    assert_same_without_native(tmp_path / "turned.pdf", monkeypatch)


@needs_native
def test_compiled_code_reads_rules_boxes_curves_and_forms_as_python_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    canvas = Canvas(str(tmp_path / "drawn.pdf"), pagesize=A4)
    canvas.grid([72, 150, 300], [500, 520, 540])
    canvas.rect(72, 600, 200, 1, fill=1)
    canvas.circle(300, 300, 50)
    canvas.line(72, 72, 200, 180)
    path = canvas.beginPath()
    path.moveTo(100, 100)
    for x, y in ((100, 140), (180, 140), (180, 180), (220, 180), (220, 100)):
        path.lineTo(x, y)
    path.close()
    canvas.drawPath(path)
    canvas.beginForm("plot")
    canvas.line(10, 10, 200, 10)
    canvas.rect(20, 20, 60, 40)
    canvas.circle(60, 60, 20)
    canvas.drawString(20, 20, "within a form")
    canvas.endForm()
    canvas.translate(50, 200)
    canvas.scale(1.5, 0.5)
    canvas.doForm("plot")
    canvas.rotate(20)
    canvas.doForm("plot")
    canvas.save()
    assert_same_without_native(tmp_path / "drawn.pdf", monkeypatch)


@needs_native
def test_compiled_code_reads_a_page_of_very_many_paths_as_python_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = b" ".join(
        b"%d %d m %d %d l S" % (10 + n % 500, n % 700, 60 + n % 500, n % 700) for n in range(25_000)
    )
    path = write_raw(tmp_path / "paths.pdf", one_page(stream(paths)))
    assert_same_without_native(path, monkeypatch)


def test_a_machine_without_the_compiled_part_reads_the_same(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from doctune.documents import native, parse_pdf;"
        "document = parse_pdf(Path(sys.argv[1]));"
        "print(native.module is None); print(repr(document.blocks))"
    )
    outputs = [
        subprocess.run(
            [sys.executable, "-c", program, str(SAMPLES / "price-table-2031.pdf")],
            env={**os.environ, "DOCTUNE_PURE_PYTHON": pure},
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        ).stdout.split("\n", 1)
        for pure in ("1", "")
    ]
    assert outputs[0][0] == "True"
    assert outputs[0][1] == outputs[1][1]


@needs_native
@pytest.mark.parametrize(
    "call",
    [
        lambda module: module.bind(()),
        lambda module: module.bind((0,) * len(module.function_names())),
        lambda module: module.read_lines(0, False, (0.0, 0.0, 1.0, 1.0, 0), ""),
        lambda module: module.read_lines(1),
        lambda module: module.find_words(1, False, (0.0, 0.0, 1.0, 1.0, 0), [], "Word"),
        lambda module: module.find_words(1, False, (0.0, 0.0, 1.0, 1.0, 0), [], int),
        lambda module: module.read_drawing(1, (0.0, 0.0, 1.0, 1.0, 0), list),
        lambda module: module.read_drawing(1, (0.0,), tuple),
    ],
)
def test_compiled_code_refuses_wrong_arguments(call: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        call(native.module)  # type: ignore[operator]
