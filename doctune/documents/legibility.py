"""Decides whether a page needs OCR: whether it shows text, and whether its text layer is usable.

OCR takes half a second or more per page, so blank pages, rules, logos and good text layers must
skip it. A small rendering of the page decides: only text has rows with many transitions from paper
to ink.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from operator import methodcaller
from typing import TYPE_CHECKING, Any

from doctune.documents.drawing import read_drawing
from doctune.documents.geometry import PageSpace
from doctune.documents.lines import Line
from doctune.documents.model import BBox
from doctune.documents.raster import draw_grey, fitting_scale

if TYPE_CHECKING:
    from PIL import Image

    from doctune.documents.ocr import OcrResult

_MOST_PIXELS = 1_000_000  # of the rendering: 72 dpi for a page of usual size
_LEAST_CONTRAST = 40  # of 255 grey levels: less is the shade of the paper
_INK_SHARE = 0.3  # of the contrast: thin strokes are grey in a small rendering
_LEAST_CHANGES = 16  # in a row of pixels: three short words; a logo has fewer
_FEW_CHANGES = 6  # one word: enough on a page that an image covers
_LEAST_ROWS = 3
_STROKE_LENGTH, _STROKE_STEP = 24, 6  # pixels: longer strokes are rules or shapes
_MANY_ROWS = 20  # several lines of text
_COVERING = 0.8  # of the page's area
_SPARSE_CHARS = 300  # a stamp, a page number, a note by the scanner

_SURE = 60.0  # per cent
_SOME, _MUCH_MORE = 0.3, 2.0  # of the characters of a broken layer, of a sound one

_SAMPLE_CHARS = 2_000
_LEAST_LETTERS = 100
_LATIN_SHARE = 0.4  # of the characters: fewer are names and commands within another script
# In languages with Latin letters, 0.3 to 0.5 of the letters are vowels, and hardly any word has
# none; in garbled text, the share is 0.1 to 0.25.
_LEAST_VOWELS = 0.27
_MOST_WITHOUT = 0.25
_LATIN_WORD = re.compile("[A-Za-z]{4,}")
_VOWEL = re.compile("[aeiouyAEIOUY]")
_ODD_SHARE, _SYMBOL_SHARE = 0.3, 0.6
_ODD = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ue000-\uf8ff\ufffd\ufffe\uffff]")
_LETTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_NO_LETTERS = bytes(code for code in range(256) if code not in _LETTERS)
_NO_VOWELS = bytes(code for code in range(256) if code not in b"aeiouyAEIOUY")
# Without those used for drawing, such as dot leaders and frames of plus and minus.
_NO_SYMBOLS = bytes(code for code in range(256) if code not in b"!\"$%&'()@?<>[\\]^`{}:;,")


def shows_text(page: Any, space: PageSpace) -> bool:
    """Returns whether the rendered page appears to contain text (vector, bitmap or glyphs).

    Three short words are enough; one is if an image covers the page, as in a scan.
    """
    rows = _changes_by_row(page, space)
    if _has_rows(rows, _LEAST_CHANGES):
        return True
    return _has_rows(rows, _FEW_CHANGES) and covers(read_drawing(page, space).images, space)


def shows_more_text(
    page: Any, space: PageSpace, lines: Sequence[Line], images: Sequence[BBox]
) -> bool:
    """Returns whether a scan shows much more text than the few lines of its text layer.

    Scans with a stamp, a page number or the name of the scanning program have some text but still
    need OCR.

    Args:
        images: Boxes of the images on the page.
    """
    if len(as_text(lines)) >= _SPARSE_CHARS or not covers(images, space):
        return False
    upright = _changes_by_row(page, space)[0]
    scale = len(upright) / max(space.height, 1.0)
    known = {row for line in lines for row in range(int(line.y0 * scale), int(line.y1 * scale) + 1)}
    rows = (row for row, count in enumerate(upright) if count >= _LEAST_CHANGES)
    return sum(row not in known for row in rows) >= _MANY_ROWS


def is_better(read: "OcrResult", lines: Sequence[Line]) -> bool:
    """Returns whether the OCR result is to replace the text layer of a page."""
    text, layer = as_text(read.lines), as_text(lines)
    share = _SOME if is_garbled(layer) else _MUCH_MORE
    return read.confidence >= _SURE and len(text) >= share * len(layer) and not is_garbled(text)


def as_text(lines: Iterable[Line]) -> str:
    """Returns the joined text of lines."""
    return " ".join([line.text for line in lines])


def covers(images: Sequence[BBox], space: PageSpace) -> bool:
    """Returns whether images, or strips of one, cover the page."""
    area = sum(
        max(0.0, min(x1, space.width) - max(x0, 0.0))
        * max(0.0, min(y1, space.height) - max(y0, 0.0))
        for x0, y0, x1, y1 in images
    )
    return area >= _COVERING * space.width * space.height


def is_garbled(text: str) -> bool:
    """Returns whether the text of a page is garbled: meaningless codes, or wrong letters.

    A false positive, such as a table of codes, only costs an OCR run. Text with few letters is
    never called garbled because of them.
    """
    sample = text[:_SAMPLE_CHARS]
    odd = "\ufffd" in sample or not sample.isprintable()
    if odd and len(_ODD.findall(sample)) >= _ODD_SHARE * len(sample):
        return True
    plain = sample.encode("ascii", "ignore")
    letters = len(plain.translate(None, _NO_LETTERS))
    if letters >= max(_LEAST_LETTERS, _LATIN_SHARE * len(sample)):
        vowels = len(plain.translate(None, _NO_VOWELS))
        return vowels < _LEAST_VOWELS * letters and _lacks_vowels(sample)
    symbols = len(plain.translate(None, _NO_SYMBOLS))
    return symbols >= _LEAST_LETTERS and symbols > _SYMBOL_SHARE * len(sample.replace(" ", ""))


def _has_rows(rows: tuple[list[int], list[int]], changes: int) -> bool:
    return any(sum(count >= changes for count in counts) >= _LEAST_ROWS for counts in rows)


def _lacks_vowels(text: str) -> bool:
    """Returns whether many words have no vowel. Accents are removed: Vietnamese has many."""
    bare = unicodedata.normalize("NFD", text).encode("ascii", "ignore").decode("ascii")
    words = _LATIN_WORD.findall(bare)
    return sum(not _VOWEL.search(word) for word in words) > _MOST_WITHOUT * len(words)


def _changes_by_row(page: Any, space: PageSpace) -> tuple[list[int], list[int]]:
    """Counts transitions from paper to ink in each row and each column of a small rendering."""
    from PIL import Image

    picture = draw_grey(page, space, fitting_scale(space, 1.0, _MOST_PIXELS))
    ink = _ink_table(picture)
    if ink is None:
        return [0] * picture.height, [0] * picture.width
    turned = picture.transpose(Image.Transpose.ROTATE_90)
    return _changes(picture, ink), _changes(turned, ink)


def _ink_table(picture: "Image.Image") -> bytes | None:
    """Returns a table from grey level to 1 (ink) or 0 (paper, the most common level).

    None for a blank page.
    """
    levels = picture.histogram()
    paper = max(range(256), key=levels.__getitem__)
    used = [level for level in range(256) if levels[level]]
    contrast = max(paper - used[0], used[-1] - paper)
    if contrast < _LEAST_CONTRAST:
        return None
    return bytes(abs(level - paper) > _INK_SHARE * contrast for level in range(256))


def _changes(picture: "Image.Image", ink: bytes) -> list[int]:
    width = picture.width
    count = methodcaller("count", b"\0\1")
    pixels = picture.tobytes().translate(ink)
    rows = [
        int.from_bytes(pixels[start : start + width], "big")
        for start in range(0, len(pixels), width)
    ]
    long = _long_strokes(rows)
    # A rule that is crossed by others looks like many strokes, so the smaller count is used.
    return [
        min(count(row.to_bytes(width, "big")), count((row ^ gone).to_bytes(width, "big")))
        for row, gone in zip(rows, long, strict=True)
    ]


def _long_strokes(rows: list[int]) -> Iterator[int]:
    """Yields for each row the pixels in vertical strokes that are longer than those of letters."""
    gone = [0] * len(rows)
    steps = range(_STROKE_STEP, _STROKE_LENGTH + 1, _STROKE_STEP)
    for row, *others in zip(
        rows,
        *([*gone[:step], *rows] for step in steps),
        *([*rows[step:], *gone[:step]] for step in steps),
        strict=False,
    ):
        above, below = others[: len(steps)], others[len(steps) :]
        yield reduce(int.__and__, above, row) | reduce(int.__and__, below, row)
