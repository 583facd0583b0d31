"""OCR by RapidOCR, whose package has its models: finds lines of text, then reads each.

It reads Latin letters, Chinese and Japanese. Nothing is downloaded.
"""

import os
import re
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from doctune.documents.geometry import turn_box
from doctune.documents.lines import ScannedLine
from doctune.documents.order import cut_into_columns

if TYPE_CHECKING:
    from PIL import Image

NAME = "rapidocr"
DPI = 200
# Least confidence of a line and of a page, in per cent: below are handwriting, drawings or noise.
SURE_LINE, SURE_PAGE = 80.0, 85.0
_UPRIGHT = 80.0  # per cent: below, the page may be upside down
_LONG_CHARS = 4
# After a sentence, and between a number and a word ("25seconds", "Table1").
_NO_SPACE = re.compile(
    r"(?<=[a-z0-9)][.;:!?])(?=[A-Z][a-z])|(?<=\d)(?=[a-z]{4})"
    r"|(?<=\b[Tt]able)(?=\d)|(?<=\b[Ff]igure)(?=\d)|(?<=\b[Pp]age)(?=\d)"
)
_BULLET_AREA = 1.8  # of a line's height: before the line
_BULLET_SIZES = 0.12, 0.5  # of a line's height
_BULLET_FILLED = 0.6  # of its box is ink
_CONTRAST = 60  # grey levels
_ROW_SHARE = 0.3  # of a line's height
_LEAST_PIXELS, _MOST_CUT = 6, 0.25  # of a line that is trimmed
_ROW_INK, _COLUMN_INK = 0.015, 0.1  # of the contrast: few letters reach below the line
_BOX = 4  # Pillow's resampling by the mean


def is_installed() -> bool:
    """Returns whether RapidOCR and the library that runs its models are installed."""
    return find_spec("rapidocr") is not None and find_spec("onnxruntime") is not None


def read(picture: "Image.Image", dpi: float) -> tuple[list[ScannedLine], int] | None:
    """Reads a grey picture; None if RapidOCR cannot be loaded.

    Args:
        dpi: Not needed.

    Returns:
        The lines in reading order, with boxes in pixels, and the clockwise quarter turns after
        which they are level.
    """
    if not is_installed():
        return None
    lines = _read(picture)
    quarters = 0
    if _are_tall(lines):
        quarters, lines = 1, _read(_turned(picture, 1))
    if lines and _mean(lines) < _UPRIGHT:
        others = _read(_turned(picture, quarters + 2))
        if _mean(others) > _mean(lines):
            quarters, lines = quarters + 2, others
    upright = _turned(picture, quarters)
    _trim(lines, upright)
    _add_bullets(lines, upright)
    lines = _join_pieces(cut_into_columns(_level_rows(lines)))
    for line in lines:
        box = (line.x0, line.y0, line.x1, line.y1)
        line.x0, line.y0, line.x1, line.y1 = turn_box(box, -quarters % 4, *upright.size)
    return lines, quarters


@cache
def _engine() -> Any:
    # Before it is loaded: it would write files into the home folder and send what it counts.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    from rapidocr import RapidOCR

    # One thread each, since several workers read pages in parallel.
    threads = "EngineConfig.onnxruntime.{}_op_num_threads"
    return RapidOCR(
        params={
            threads.format("intra"): 1,
            threads.format("inter"): 1,
            "Global.log_level": "error",
            "Global.text_score": 0.0,  # the caller decides
            "Global.use_cls": False,  # the page as a whole is upright
            "Rec.rec_batch_num": 1,  # a batch is padded to its longest line, which costs time
        }
    )


def _read(picture: "Image.Image") -> list[ScannedLine]:
    import numpy

    found = _engine()(numpy.asarray(picture.convert("RGB")))
    if found.boxes is None:
        return []
    lines = []
    for corners, text, score in zip(found.boxes, found.txts, found.scores, strict=True):
        line = ScannedLine(_with_spaces(text), 100.0 * float(score))
        xs, ys = [float(x) for x, _ in corners], [float(y) for _, y in corners]
        line.x0, line.y0, line.x1, line.y1 = min(xs), min(ys), max(xs), max(ys)
        if line.text:
            lines.append(line)
    return lines


def _with_spaces(text: str) -> str:
    """Adds spaces that the model leaves out now and then."""
    return _NO_SPACE.sub(" ", " ".join(text.split()))


def _trim(lines: Sequence[ScannedLine], picture: "Image.Image") -> None:
    """Cuts boxes to their ink: the model finds them larger than their letters.

    At the top and bottom by the same share of their height, since a line may have no high or low
    letters.
    """
    above: list[float] = []
    below: list[float] = []
    for line in lines:
        area = picture.crop((round(line.x0), round(line.y0), round(line.x1), round(line.y1)))
        wide, high = area.size
        if wide < 1 or high < _LEAST_PIXELS:
            continue
        rows = _blank_ends(area.resize((1, high), _BOX).tobytes(), _ROW_INK)
        columns = _blank_ends(area.resize((wide, 1), _BOX).tobytes(), _COLUMN_INK)
        above.append(rows[0] / high)
        below.append(rows[1] / high)
        line.x0 += min(columns[0], high)
        line.x1 -= min(columns[1], high)
    if above:
        top, bottom = sorted(above)[len(above) // 4], sorted(below)[len(below) // 4]
        for line in lines:
            height = line.y1 - line.y0
            line.y0 += min(top, _MOST_CUT) * height
            line.y1 -= min(bottom, _MOST_CUT) * height


def _blank_ends(shades: bytes, share: float) -> tuple[int, int]:
    """Returns how many rows or columns have no ink at their start and end."""
    level = max(shades) - share * (max(shades) - min(shades))
    inked = [place for place, shade in enumerate(shades) if shade < level]
    return (inked[0], len(shades) - 1 - inked[-1]) if inked else (0, 0)


def _add_bullets(lines: Sequence[ScannedLine], picture: "Image.Image") -> None:
    """Adds the bullets of lists, which the model does not take for text."""
    for line in lines:
        height = line.y1 - line.y0
        left = max(0, round(line.x0 - _BULLET_AREA * height))
        right = round(line.x0)
        if line.text[0].isalnum() and right - left > height / 2:
            area = picture.crop((left, round(line.y0), right, round(line.y1)))
            if _shows_bullet(area, height):
                line.text = f"\u2022 {line.text}"
                line.x0 = left


def _shows_bullet(area: "Image.Image", height: float) -> bool:
    """Returns whether an area shows a dot alone: square, full, and smaller than a letter."""
    levels = area.tobytes()
    darkest, lightest = min(levels), max(levels)
    if lightest - darkest < _CONTRAST:
        return False
    level = (darkest + lightest) / 2
    ink = area.point([255 * (value < level) for value in range(256)])
    box = ink.getbbox()
    if box is None:
        return False
    wide, high = box[2] - box[0], box[3] - box[1]
    least, most = _BULLET_SIZES[0] * height, _BULLET_SIZES[1] * height
    filled = ink.crop(box).histogram()[255]
    inside = box[0] > 0 and box[2] < area.width and box[1] > 0 and box[3] < area.height
    return (
        inside
        and least <= wide <= most
        and least <= high <= most
        and filled >= _BULLET_FILLED * wide * high
    )


def _level_rows(lines: Sequence[ScannedLine]) -> list[ScannedLine]:
    """Gives boxes on one row the same top and bottom, so that their order is from the left."""
    rows: list[list[ScannedLine]] = []
    for line in sorted(lines, key=lambda line: line.y0 + line.y1):
        first = rows[-1][0] if rows else None
        middle = (line.y0 + line.y1) / 2
        if first and abs(middle - (first.y0 + first.y1) / 2) < _ROW_SHARE * (first.y1 - first.y0):
            rows[-1].append(line)
        else:
            rows.append([line])
    for row in rows:
        top, bottom = min(line.y0 for line in row), max(line.y1 for line in row)
        for line in row:
            line.y0, line.y1 = top, bottom
    return [line for row in rows for line in row]


def _turned(picture: "Image.Image", quarters: int) -> "Image.Image":
    """Turns a picture clockwise."""
    return picture.rotate(-90 * quarters, expand=True)


def _are_tall(lines: Sequence[ScannedLine]) -> bool:
    long = [line for line in lines if len(line.text) >= _LONG_CHARS]
    tall = sum(line.y1 - line.y0 > line.x1 - line.x0 for line in long)
    return 2 * tall > len(long)


def _mean(lines: Sequence[ScannedLine]) -> float:
    chars = sum(len(line.text) for line in lines)
    return sum(line.confidence * len(line.text) for line in lines) / max(1, chars)


def _join_pieces(lines: Sequence[ScannedLine]) -> list[ScannedLine]:
    """Joins boxes that follow each other on one row, such as the cells of a table."""
    joined: list[ScannedLine] = []
    for line in lines:
        last = joined[-1] if joined else None
        if last and _continues(last, line):
            chars, more = len(last.text), len(line.text)
            last.confidence = (last.confidence * chars + line.confidence * more) / (chars + more)
            last.text += " " + line.text
            last.x1, last.y0 = max(last.x1, line.x1), min(last.y0, line.y0)
            last.y1 = max(last.y1, line.y1)
        else:
            joined.append(line)
    return joined


def _continues(last: ScannedLine, line: ScannedLine) -> bool:
    height = min(last.y1 - last.y0, line.y1 - line.y0)
    overlap = min(last.y1, line.y1) - max(last.y0, line.y0)
    return overlap > height / 2 and line.x0 > last.x1 - height
