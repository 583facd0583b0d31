"""A page that is only a picture: text drawn with Pillow, turned a little, speckled, greyed."""

import random
from io import BytesIO
from pathlib import Path

import reportlab
from PIL import Image, ImageDraw, ImageFont
from reportlab.lib.pagesizes import A5
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

DOTS_PER_INCH = 130
TILT_DEGREES = 0.8
PAPER, INK = 244, 40
SPECKS = 1500
NOISE_SEED = 118
_FONT = Path(reportlab.__file__).parent / "fonts" / "Vera.ttf"


def write_scanned_page(text_path: Path, pdf_path: Path) -> Path:
    """Write a one-page PDF that shows the text as a grey JPEG and has no text layer.

    Raises:
        OSError: The text cannot be read or the PDF cannot be written.
    """
    picture = _scan(text_path.read_text(encoding="utf-8").splitlines())
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=45)
    canvas = Canvas(str(pdf_path), pagesize=A5, invariant=1)
    canvas.setTitle("Field inspection note 118 (scan)")
    canvas.drawImage(ImageReader(buffer), 0, 0, *A5)
    canvas.save()
    return pdf_path


def _scan(lines: list[str]) -> Image.Image:
    width, height = (round(side / 72 * DOTS_PER_INCH) for side in A5)
    page = Image.new("L", (width, height), PAPER)
    draw = ImageDraw.Draw(page)
    y = 70
    for line in lines:
        size = 26 if line.startswith("# ") else 17
        draw.text((62, y), line.removeprefix("# "), INK, ImageFont.truetype(str(_FONT), size))
        y += round(size * 1.5)
    page = page.rotate(TILT_DEGREES, Image.Resampling.BICUBIC, fillcolor=PAPER)
    return _speckled(page)


def _speckled(page: Image.Image) -> Image.Image:
    # The specks are a fixture and guard nothing.
    chance = random.Random(NOISE_SEED)  # noqa: S311
    for _ in range(SPECKS):
        spot = chance.randrange(page.width), chance.randrange(page.height)
        page.putpixel(spot, chance.choice((PAPER - 60, PAPER - 110, 255)))
    return page
