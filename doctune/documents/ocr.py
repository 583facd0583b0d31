"""OCR of pages without text, by Tesseract if it is installed.

PDFium renders the page in grey, and it is piped to the `tesseract` program. The resulting lines go
through the same layout analysis as any other. A skewed page is deskewed first; Tesseract detects
the orientation. Nothing is written to disk, and no model is downloaded.
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from doctune import limits
from doctune.documents.geometry import PageSpace, turn_box
from doctune.documents.layers import set_sizes
from doctune.documents.lines import ScannedLine
from doctune.documents.model import BBox

if TYPE_CHECKING:
    from PIL import Image

ENGINE = "tesseract"
ADVICE = "Install Tesseract (Debian: tesseract-ocr) to read scans."
_DPI = 250
_MAX_PIXELS = 40_000_000
_MIN_CONFIDENCE = 30.0  # per cent: words below are specks
# Least confidence of a line and of a page: below are handwriting, drawings or noise.
_SURE_LINE, _SURE_PAGE = 55.0, 65.0
_LEFT_OUT = 0.25  # of a page's characters, above which there is a warning

# Called after each page, since a page takes seconds and the parent watches for progress.
listeners: list[Callable[[], None]] = []


@dataclass(frozen=True)
class OcrResult:
    """Lines of a page, and the mean confidence of their words in per cent.

    Attributes:
        unsure: Whether much of the page was left out because of low confidence, as for handwriting
            and drawings.
        lines: Their boxes are on the deskewed page.
        shown: Maps such a box to the page as it is shown; None where both are the same.
    """

    lines: list[ScannedLine]
    confidence: float
    unsure: bool = False
    shown: Callable[[BBox], BBox] | None = None


@cache
def find_program() -> str | None:
    """Returns the path of the `tesseract` program; None if it is not installed."""
    return shutil.which("tesseract")


@cache
def _languages(program: str) -> str:
    """Returns all installed languages, English first, except `osd` (orientation detection)."""
    done = subprocess.run(
        [program, "--list-langs"], capture_output=True, text=True, timeout=limits.OCR.seconds
    )
    names = [name for name in done.stdout.splitlines()[1:] if name and name != "osd"]
    return "+".join(sorted(names, key=lambda name: (name != "eng", name))[:4]) or "eng"


def read_page(page: Any, space: PageSpace) -> OcrResult | None:
    """Reads a PDFium page; None if Tesseract is missing, fails or finds no text."""
    program = find_program()
    # Imported here: only workers that read scans need it.
    from doctune.documents import raster, scans

    if program is None:
        return None
    dpi = 72 * raster.fitting_scale(space, _DPI / 72, _MAX_PIXELS)
    command = [program, "stdin", "stdout", "-l", _languages(program), "--psm", "1"]
    command += ["--dpi", str(max(1, round(dpi))), "tsv"]
    picture = raster.draw_grey(page, space, dpi / 72)
    skew = scans.skew_of(picture)
    if skew:
        picture = scans.straighten(picture, skew)
    try:
        done = subprocess.run(
            command,
            input=_as_pnm(picture),
            capture_output=True,
            timeout=limits.OCR.seconds,
            # One thread each, since several workers run Tesseract in parallel.
            env={**os.environ, "OMP_THREAD_LIMIT": "1"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    finally:
        for listener in listeners:
            listener()
    result = _lines_of(done.stdout.decode("utf-8", "replace"), 72 / dpi)
    return None if result is None else _upright(result, skew, space)


def _upright(result: OcrResult, skew: float, space: PageSpace) -> OcrResult:
    """Rotates the lines of a page that is on its side or upside down."""
    from doctune.documents import scans

    quarters = scans.quarters_of(result.lines) if result.lines else 0
    if not quarters and not skew:
        return result
    for line in result.lines:
        box = (line.x0, line.y0, line.x1, line.y1)
        line.x0, line.y0, line.x1, line.y1 = turn_box(box, quarters, space.width, space.height)
    if quarters % 2:
        set_sizes(result.lines)
    shown = scans.back_to_page(skew, quarters, space.width, space.height)
    return replace(result, shown=shown)


def _as_pnm(picture: "Image.Image") -> bytes:
    return b"P5 %d %d 255\n" % picture.size + picture.tobytes()


def _lines_of(table: str, scale: float) -> OcrResult | None:
    """Joins the words of Tesseract's table into lines."""
    lines: dict[tuple[str, ...], ScannedLine] = {}
    confidences = []
    for row in table.splitlines()[1:]:
        fields = row.split("\t")
        if len(fields) < 12 or fields[0] != "5" or not fields[11].strip():
            continue
        confidence = float(fields[10])
        if confidence < _MIN_CONFIDENCE:
            continue
        confidences.append(confidence)
        x, y, width, height = (float(value) * scale for value in fields[6:10])
        key = tuple(fields[1:5])
        line = lines.get(key)
        if line is None:
            line = lines[key] = ScannedLine(fields[11], confidence)
            line.x0, line.y0, line.x1, line.y1 = x, y, x + width, y + height
        else:
            words = line.text.count(" ") + 1
            line.confidence += (confidence - line.confidence) / (words + 1)
            line.text += " " + fields[11]
            line.x0, line.x1 = min(line.x0, x), max(line.x1, x + width)
            line.y0, line.y1 = min(line.y0, y), max(line.y1, y + height)
    if not lines:
        return None
    found = list(lines.values())
    set_sizes(found)
    for line in found:
        line.hyphen = line.text.endswith("-")
    sure = [line for line in found if line.confidence >= _SURE_LINE]
    chars = sum(len(line.text) for line in found)
    left_out = chars - sum(len(line.text) for line in sure)
    mean = sum(line.confidence * len(line.text) for line in sure)
    mean /= max(1, sum(len(line.text) for line in sure))
    if mean < _SURE_PAGE:
        return OcrResult([], 0.0, unsure=True)
    return OcrResult(sure, mean, unsure=left_out > _LEFT_OUT * chars)
