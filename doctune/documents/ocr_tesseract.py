"""OCR by the program Tesseract, if it is installed: reads a picture through a pipe.

Of the installed languages, those of the script that a page is written in read it.
"""

import os
import re
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
_MAX_LANGUAGES = 4  # at once, since each adds its time
_SCRIPT = re.compile(r"^Script: (\w+)$", re.MULTILINE)
# Languages of each script that RapidOCR does not read, as Tesseract names both.
_OTHER_SCRIPTS = {
    "Cyrillic": ("rus", "ukr", "bel", "bul", "mkd", "srp", "kaz", "kir", "mon", "tgk"),
    "Greek": ("ell", "grc"),
    "Arabic": ("ara", "fas", "urd", "pus", "snd", "uig"),
    "Hebrew": ("heb", "yid"),
    "Devanagari": ("hin", "mar", "nep", "san"),
    "Thai": ("tha",),
    "Korean": ("kor",),
    "Hangul": ("kor",),
    "Bengali": ("ben", "asm"),
    "Tamil": ("tam",),
    "Telugu": ("tel",),
    "Kannada": ("kan",),
    "Malayalam": ("mal",),
    "Gujarati": ("guj",),
    "Gurmukhi": ("pan",),
    "Oriya": ("ori",),
    "Sinhala": ("sin",),
    "Khmer": ("khm",),
    "Lao": ("lao",),
    "Myanmar": ("mya",),
    "Tibetan": ("bod", "dzo"),
    "Ethiopic": ("amh", "tir"),
    "Georgian": ("kat",),
    "Armenian": ("hye",),
}


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
    languages = script_languages(picture, dpi) or _first_languages(languages_of(program))
    output = _run(program, picture, dpi, ["-l", "+".join(languages), "--psm", "1"], ["tsv"])
    if output is None:
        return None
    lines = _lines_of(output)
    return lines, scans.quarters_of(lines) if lines else 0


def script_languages(picture: "Image.Image", dpi: float) -> list[str]:
    """Returns the installed languages that read a page in a script that RapidOCR does not read.

    It is empty if the page is in another script, or none of its languages is installed.
    """
    program = find_program()
    installed = languages_of(program) if program else ()
    others = {script: found for script in _OTHER_SCRIPTS if (found := _packs(script, installed))}
    if not program or not others or "osd" not in installed:
        return []  # nothing to choose from, so that the script need not be known
    output = _run(program, picture, dpi, ["-l", "osd", "--psm", "0"], [])
    script = _SCRIPT.search(output or "")
    return others.get(script[1], []) if script else []


def _packs(script: str, installed: tuple[str, ...]) -> list[str]:
    """Returns the installed language packs for a script, the most common language first."""
    names = [*_OTHER_SCRIPTS[script], f"script/{script}"]
    found = [name for name in names if name in installed][: _MAX_LANGUAGES - 1]
    # Latin words stand in texts of every script.
    return [*found, "eng"] if found and "eng" in installed else found


@cache
def languages_of(program: str) -> tuple[str, ...]:
    """Returns the languages that a Tesseract program has, and `osd` for detecting the script."""
    done = subprocess.run(
        [program, "--list-langs"], capture_output=True, text=True, timeout=limits.OCR.seconds
    )
    return tuple(filter(None, done.stdout.splitlines()[1:]))


def _first_languages(installed: tuple[str, ...]) -> list[str]:
    """Returns the installed languages up to a limit, English first."""
    names = sorted(set(installed) - {"osd"}, key=lambda name: (name != "eng", name))
    return names[:_MAX_LANGUAGES] or ["eng"]


def _run(
    program: str, picture: "Image.Image", dpi: float, options: list[str], output: list[str]
) -> str | None:
    """Returns what Tesseract prints about a picture; None if it fails."""
    command = [program, "stdin", "stdout", *options, "--dpi", str(max(1, round(dpi))), *output]
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
    return done.stdout.decode("utf-8", "replace")


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
