"""PDFs that the tests draw themselves."""

from collections.abc import Callable
from pathlib import Path

import pytest
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    Flowable,
    ListFlowable,
    PageBreak,
    Paragraph,
    Preformatted,
    SimpleDocTemplate,
    Spacer,
    Table,
    TableStyle,
)

STYLES = getSampleStyleSheet()
PRICES = [["Pump", "Flow", "Price"], ["Alba", "12 l/min", "340"], ["Borea", "25 l/min", "610"]]
PROSE = (
    "The pump starts when the pressure in the tank falls below the lower limit, and it stops again "
    "as soon as the upper limit is reached. Between the two limits nothing happens at all. "
)


def heading(text: str, level: int = 1) -> Flowable:
    return Paragraph(text, STYLES[f"Heading{level}"])


def prose(text: str = PROSE * 2) -> Flowable:
    return Paragraph(text, STYLES["BodyText"])


def bullets(*items: str) -> Flowable:
    return ListFlowable([Paragraph(i, STYLES["BodyText"]) for i in items], bulletType="bullet")


def code(text: str) -> Flowable:
    return Preformatted(text, STYLES["Code"])


def ruled_table(rows: list[list[str]]) -> Flowable:
    table = Table(rows)
    table.setStyle(TableStyle([("GRID", (0, 0), (-1, -1), 0.5, colors.black)]))
    return table


def write_pdf(path: Path, story: list[Flowable], *, title: str = "", header: str = "") -> Path:
    """Writes a PDF of flowables; `header` stands on each page with its number below."""

    def furniture(canvas: Canvas, document: SimpleDocTemplate) -> None:
        if header:
            canvas.setFont("Helvetica", 8)
            canvas.drawString(72, A4[1] - 36, header)
            canvas.drawCentredString(A4[0] / 2, 30, str(document.page))

    path.parent.mkdir(parents=True, exist_ok=True)
    document = SimpleDocTemplate(str(path), pagesize=A4, title=title, invariant=1)
    document.build(story, onFirstPage=furniture, onLaterPages=furniture)
    return path


@pytest.fixture(scope="session")
def manual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manual of five pages with a bit of everything."""
    story: list[Flowable] = [heading("1 The Alba pump"), prose(), prose()]
    story += [heading("1.1 Starting it", 2), prose(), bullets("Open the valve.", "Press start.")]
    story += [heading("1.2 Prices", 2), ruled_table(PRICES), Spacer(1, 12), prose()]
    story += [code("if low:\n    start()\nelse:\n    stop()")]
    for chapter in range(2, 6):
        story += [PageBreak(), heading(f"{chapter} Chapter"), prose(), prose()]
    path = tmp_path_factory.mktemp("manual") / "manual.pdf"
    return write_pdf(path, story, title="Alba manual", header="Alba pumps, edition three")


@pytest.fixture
def make_pdf(tmp_path: Path) -> Callable[..., Path]:
    """Writes a PDF of flowables into the test's folder."""

    def make(name: str, story: list[Flowable], **options: str) -> Path:
        return write_pdf(tmp_path / name, story, **options)

    return make
