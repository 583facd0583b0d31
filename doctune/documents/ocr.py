"""OCR of pages without text, by the engine that is installed.

PDFium renders the page in grey; a skewed page is deskewed first. The resulting lines go through the
same layout analysis as any other. What an engine is unsure of is no text. Nothing is written to
disk, and no model is downloaded.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from doctune.documents import ocr_rapid, ocr_tesseract
from doctune.documents.geometry import PageSpace, turn_box
from doctune.documents.layers import set_sizes
from doctune.documents.lines import ScannedLine
from doctune.documents.model import BBox

if TYPE_CHECKING:
    from PIL import Image

ADVICE = "Install doctune[ocr] or Tesseract (Debian: tesseract-ocr) to read scans."
_MAX_PIXELS = 40_000_000
_LEFT_OUT = 0.25  # of a page's characters, above which there is a warning

# Called after each page, since a page takes seconds and the parent watches for progress.
listeners: list[Callable[[], None]] = []


class Engine(Protocol):
    """A module that reads pictures.

    Attributes:
        NAME: What `engine` of its blocks says.
        DPI: What pages are rendered at.
        SURE_LINE, SURE_PAGE: Least confidence of a line and of a page, in per cent.
    """

    NAME: str
    DPI: int
    SURE_LINE: float
    SURE_PAGE: float

    def is_installed(self) -> bool: ...

    def read(self, picture: "Image.Image", dpi: float) -> tuple[list[ScannedLine], int] | None: ...


ENGINES: dict[str, Engine] = {engine.NAME: engine for engine in (ocr_rapid, ocr_tesseract)}


@dataclass(frozen=True)
class OcrResult:
    """Lines of a page, and the mean confidence of their words in per cent.

    Attributes:
        engine: Name of the engine that read them.
        unsure: Whether much of the page was left out because of low confidence, as for handwriting
            and drawings.
        lines: Their boxes are on the deskewed page.
        shown: Maps such a box to the page as it is shown; None where both are the same.
    """

    engine: str
    lines: list[ScannedLine]
    confidence: float
    unsure: bool = False
    shown: Callable[[BBox], BBox] | None = None


def find_engine(choice: str) -> Engine | None:
    """Returns the engine for a value of the option `ocr`; None if it is off or not installed.

    "auto" is the first one of `ENGINES` that is installed.
    """
    wanted = (
        ENGINES.values() if choice == "auto" else [ENGINES[choice]] if choice in ENGINES else []
    )
    return next((engine for engine in wanted if engine.is_installed()), None)


def identity(choice: str) -> str:
    """Returns the engines and languages that a value of the option `ocr` stands for here."""
    engine = find_engine(choice)
    program = ocr_tesseract.find_program() if choice in ("auto", ocr_tesseract.NAME) else None
    languages = ocr_tesseract.languages_of(program) if program else ()
    return " ".join([engine.NAME if engine else "", *sorted(languages)])


def read_page(page: Any, space: PageSpace, choice: str) -> OcrResult | None:
    """Reads a PDFium page; None if the engine fails or finds no text.

    Args:
        choice: The option `ocr`. With "auto", Tesseract reads a page in a script that only it
            reads, if it has the language.
    """
    engine = find_engine(choice)
    if engine is None:
        return None
    picture, skew, dpi = _render(page, space, engine)
    if choice == "auto" and engine is ocr_rapid and ocr_tesseract.script_languages(picture, dpi):
        engine = ocr_tesseract
        picture, skew, dpi = _render(page, space, engine)
    try:
        found = engine.read(picture, dpi)
    finally:
        for listener in listeners:
            listener()
    if found is None or not found[0]:
        return None
    lines, quarters = found
    for line in lines:
        line.x0, line.y0 = line.x0 * 72 / dpi, line.y0 * 72 / dpi
        line.x1, line.y1 = line.x1 * 72 / dpi, line.y1 * 72 / dpi
    return _judged(_upright(lines, quarters, space), skew, quarters, space, engine)


def _render(page: Any, space: PageSpace, engine: Engine) -> tuple["Image.Image", float, float]:
    """Returns a page as an engine wants it, the skew that was removed, and its resolution."""
    # Imported here: only workers that read scans need it.
    from doctune.documents import raster, scans

    dpi = 72 * raster.fitting_scale(space, engine.DPI / 72, _MAX_PIXELS)
    picture = raster.draw_grey(page, space, dpi / 72)
    skew = scans.skew_of(picture)
    return scans.straighten(picture, skew) if skew else picture, skew, dpi


def _upright(lines: list[ScannedLine], quarters: int, space: PageSpace) -> list[ScannedLine]:
    """Turns the boxes of a page that is on its side or upside down."""
    for line in lines:
        box = (line.x0, line.y0, line.x1, line.y1)
        if quarters:
            line.x0, line.y0, line.x1, line.y1 = turn_box(box, quarters, space.width, space.height)
        line.hyphen = line.text.endswith("-")
    set_sizes(lines)
    return lines


def _judged(
    lines: list[ScannedLine], skew: float, quarters: int, space: PageSpace, engine: Engine
) -> OcrResult:
    """Leaves out what the engine is unsure of."""
    from doctune.documents import scans

    sure = [line for line in lines if line.confidence >= engine.SURE_LINE]
    all_chars, chars = (sum(len(line.text) for line in some) for some in (lines, sure))
    mean = sum(line.confidence * len(line.text) for line in sure) / max(1, chars)
    if mean < engine.SURE_PAGE:
        return OcrResult(engine.NAME, [], 0.0, unsure=True)
    shown = None
    if skew or quarters:
        shown = scans.back_to_page(skew, quarters, space.width, space.height)
    unsure = all_chars - chars > _LEFT_OUT * all_chars
    return OcrResult(engine.NAME, sure, mean, unsure, shown)
