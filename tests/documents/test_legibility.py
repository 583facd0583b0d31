"""What is worth reading by OCR, and what is not."""

from collections.abc import Callable
from pathlib import Path

import pypdfium2
import pytest
from PIL import Image
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from doctune.documents.drawing import read_drawing
from doctune.documents.geometry import page_space
from doctune.documents.legibility import is_garbled, shows_more_text, shows_text
from doctune.documents.lines import PageText
from doctune.documents.pdfium import PdfFile

WIDTH, HEIGHT = 595, 842
ENGLISH = "The pump starts when the pressure in the tank falls below the lower limit. "
RUSSIAN = "Насос включается, когда давление в баке падает ниже нижнего предела. "  # noqa: RUF001
Draw = Callable[[Canvas], None]


def draw(path: Path, *pages: Draw) -> Path:
    canvas = Canvas(str(path), pagesize=(WIDTH, HEIGHT))
    for page in pages:
        page(canvas)
        canvas.showPage()
    canvas.save()
    return path


def picture_of(tmp_path: Path, page: Draw) -> Image.Image:
    """What a scanner makes of a page."""
    with pypdfium2.PdfDocument(draw(tmp_path / "printed.pdf", page)) as document:
        return document[0].render(scale=2).to_pil().convert("L")


def as_scan(picture: Image.Image) -> Draw:
    return lambda canvas: canvas.drawImage(ImageReader(picture), 0, 0, WIDTH, HEIGHT)


def prose(canvas: Canvas) -> None:
    for row in range(30):
        canvas.drawString(72, 740 - 16 * row, ENGLISH)


def one_word(canvas: Canvas) -> None:
    canvas.setFont("Times-Bold", 40)
    canvas.drawString(150, 500, "Appendix")


def nothing(canvas: Canvas) -> None:
    canvas.setFillGray(0.98)
    canvas.rect(0, 0, WIDTH, HEIGHT, stroke=0, fill=1)


def rule(canvas: Canvas) -> None:
    canvas.line(72, 400, 520, 400)


def ornament(canvas: Canvas) -> None:
    canvas.roundRect(40, 40, 515, 762, 12)
    for ring in range(5):
        canvas.circle(298, 421, 20 + 9 * ring)


def empty_grid(canvas: Canvas) -> None:
    canvas.grid([72 + 60 * n for n in range(8)], [100 + 30 * n for n in range(20)])


def logo(canvas: Canvas) -> None:
    picture = Image.new("L", (400, 400), 255)
    picture.paste(40, (50, 50, 350, 350))
    picture.paste(255, (120, 120, 280, 280))
    canvas.drawImage(ImageReader(picture), 100, 200, 400, 400)


def letters_as_strokes(canvas: Canvas) -> None:
    """As programs write that draw text instead of setting it."""
    for column in range(18):
        x = 72 + 6 * column + 6 * (column // 6)
        canvas.lines([(x, 700, x, 707), (x + 4, 700, x + 4, 707), (x, 703, x + 4, 703)])


def looks_like_text(path: Path) -> bool:
    with PdfFile(path) as file, file.page(0) as page:
        return shows_text(page, page_space(page))


@pytest.mark.parametrize("page", [nothing, rule, ornament, empty_grid, logo])
def test_decoration_is_not_worth_reading(tmp_path: Path, page: Draw) -> None:
    assert not looks_like_text(draw(tmp_path / "plain.pdf", page))
    scanned = as_scan(picture_of(tmp_path, page))
    if page in (nothing, rule):
        # The blank back of a leaf that went through the scanner.
        assert not looks_like_text(draw(tmp_path / "scan.pdf", scanned))


@pytest.mark.parametrize("page", [prose, one_word])
@pytest.mark.parametrize("angle", [0, 5, 90])
def test_scanned_text_is_worth_reading_however_it_lies(
    tmp_path: Path, page: Draw, angle: int
) -> None:
    picture = picture_of(tmp_path, page).rotate(angle, fillcolor=255)
    assert looks_like_text(draw(tmp_path / "scan.pdf", as_scan(picture)))


def test_white_text_on_black_is_worth_reading(tmp_path: Path) -> None:
    picture = picture_of(tmp_path, prose).point(lambda level: 255 - level)
    assert looks_like_text(draw(tmp_path / "scan.pdf", as_scan(picture)))


def test_text_drawn_as_strokes_is_worth_reading(tmp_path: Path) -> None:
    assert looks_like_text(draw(tmp_path / "strokes.pdf", letters_as_strokes))


@pytest.mark.parametrize(
    ("scanned", "stamped", "more"),
    [(prose, True, True), (nothing, True, False), (prose, False, False)],
    ids=["scan with a stamp", "stamp alone", "scan with its own text layer"],
)
def test_a_scan_with_only_a_stamp_as_text_shows_more(
    tmp_path: Path, scanned: Draw, stamped: bool, more: bool
) -> None:
    picture = picture_of(tmp_path, scanned)

    def page(canvas: Canvas) -> None:
        as_scan(picture)(canvas)
        if stamped:
            canvas.drawString(72, 20, "Received 12 May 2031")
        else:
            prose(canvas)

    with PdfFile(draw(tmp_path / "scan.pdf", page)) as file, file.page(0) as handle:
        space = page_space(handle)
        images = read_drawing(handle, space).images
        with PageText(handle, space) as text:
            assert shows_more_text(handle, space, text.lines(), images) is more


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Fig. 3",
        ENGLISH * 4,
        "Pompa włącza się, gdy ciśnienie w zbiorniku spadnie poniżej dolnej granicy. " * 4,
        "Máy bơm khởi động khi áp suất trong bể giảm xuống dưới giới hạn thấp hơn. " * 4,
        RUSSIAN * 4,
        "当水箱中的压力低于下限时\uff0c水泵启动\uff1b达到上限后立即停止。" * 8,
        "تبدأ المضخة عندما ينخفض الضغط في الخزان إلى ما دون الحد الأدنى. " * 4,
        "for (int i = 0; i < n; i++) { sum += f(x[i], y[i]); } " * 8,
        '{"pumps": [{"name": "Alba", "flow": 12, "price": [340, 610]}]} ' * 8,
        "1 Introduction . . . . . . . . . . . . . . . . . . . . . . 7 " * 8,
        "+-------+-------+ | 12.50 | 19.00 | " * 12,
        "0f3a 9c1b d4e7 22af 81c0 " * 20,
    ],
)
def test_sound_text_is_not_called_garbled(text: str) -> None:
    assert not is_garbled(text)


@pytest.mark.parametrize(
    "text",
    [
        "".join(chr(ord(char) - 29) if char > " " else char for char in ENGLISH * 4),
        "\x01\x02\x05\x07\x0b \x02\x03\x01 \x1c\x1d" * 8,
        "\ue001\ue017\ue0a4 \ue003\ue00f" * 8,
        "a\ufffd\ufffd\ufffd \ufffd\ufffd" * 20,
        '%$&\'() ![]@ <>{}:; ""`^ ' * 12,
    ],
    ids=["letters shifted", "control codes", "private codes", "no codes", "symbols"],
)
def test_text_without_a_map_is_called_garbled(text: str) -> None:
    assert is_garbled(text)
