"""OCR by the program Tesseract, if it is installed: reads a picture through a pipe."""

import os
import shutil
import subprocess
from functools import cache
from typing import TYPE_CHECKING

from doctune import limits
from doctune.documents import scans
from doctune.documents.lines import ScannedLine

if TYPE_CHECKING:
    from PIL import Image

NAME = "tesseract"
DPI = 250
# Least confidence of a line and of a page, in per cent: below are handwriting, drawings or noise.
SURE_LINE, SURE_PAGE = 55.0, 65.0
_MIN_CONFIDENCE = 30.0  # per cent: words below are specks


@cache
def find_program() -> str | None:
    """Returns the path of the `tesseract` program; None if it is not installed."""
    return shutil.which("tesseract")


def is_installed() -> bool:
    """Returns whether pages can be read by Tesseract."""
    return find_program() is not None


def read(picture: "Image.Image", dpi: float) -> tuple[list[ScannedLine], int] | None:
    """Reads a grey picture; None if Tesseract fails.

    Returns:
        The lines in reading order, with boxes in pixels, and the clockwise quarter turns after
        which they are level.
    """
    program = find_program()
    if program is None:
        return None
    command = [program, "stdin", "stdout", "-l", _languages(program), "--psm", "1"]
    command += ["--dpi", str(max(1, round(dpi))), "tsv"]
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
    lines = _lines_of(done.stdout.decode("utf-8", "replace"))
    return lines, scans.quarters_of(lines) if lines else 0


@cache
def _languages(program: str) -> str:
    """Returns all installed languages, English first, except `osd` (orientation detection)."""
    done = subprocess.run(
        [program, "--list-langs"], capture_output=True, text=True, timeout=limits.OCR.seconds
    )
    names = [name for name in done.stdout.splitlines()[1:] if name and name != "osd"]
    return "+".join(sorted(names, key=lambda name: (name != "eng", name))[:4]) or "eng"


def _as_pnm(picture: "Image.Image") -> bytes:
    return b"P5 %d %d 255\n" % picture.size + picture.tobytes()


def _lines_of(table: str) -> list[ScannedLine]:
    """Joins the words of Tesseract's table into lines."""
    lines: dict[tuple[str, ...], ScannedLine] = {}
    for row in table.splitlines()[1:]:
        fields = row.split("\t")
        if len(fields) < 12 or fields[0] != "5" or not fields[11].strip():
            continue
        confidence = float(fields[10])
        if confidence < _MIN_CONFIDENCE:
            continue
        x, y, width, height = (float(value) for value in fields[6:10])
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
    return list(lines.values())
