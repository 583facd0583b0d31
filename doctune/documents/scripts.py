"""Rebuilds lines of scripts that PDFium mixes up, from the positions of their characters.

Browsers and layout programs place the glyphs of Arabic, Hebrew, Indic and Thai text one by one.
PDFium then takes some words as running to the right and others as running to the left, and sees
spaces within words. Positions tell: letters are sorted across the line and put into logical order,
and a space is one only where a gap is.
"""

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import pypdfium2.raw as pdfium

from doctune.documents import foreign
from doctune.documents.characters import NOTHING
from doctune.documents.geometry import PageSpace
from doctune.documents.glyphs import replace_text
from doctune.documents.lines import Line, PageText, Word
from doctune.documents.model import BBox

_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_ARABIC = re.compile("[\u0600-\u08ff\ufb50-\ufdff\ufe70-\ufefc]")
_CLUSTERED = re.compile("[\u0900-\u0eff\u1000-\u109f\u1780-\u17ff]")
_REBUILT = re.compile(f"{_RIGHT_TO_LEFT.pattern}|{_CLUSTERED.pattern}")
_SPACE = 0.18  # em: the gap of the narrowest space
_INK_SPACE = 0.1  # em, between the ink of two letters
_AM, _AM_SPACE = "\u0e33", 0.7  # Thai "am", whose box lacks its second part
_SAME_PLACE = 0.15  # em
_MOST_WORDS = 2  # times those of PDFium: more means that letters are spaced
_NUMBER_MARKS = ".,:/\u066b\u066c"  # between digits
_NUMBER_ENDS = "%$\u20ac\u00a3\u00a5\u20aa#"  # beside digits
_MAX_OBJECTS = 20_000
_MIRRORED = dict(zip("()[]{}<>\u00ab\u00bb", ")(][}{><\u00bb\u00ab", strict=True))
_OPENING = frozenset("([{<\u00ab")


class _Cluster(NamedTuple):
    """A letter with its marks.

    Attributes:
        kind: "R" or "L" for a letter by its direction, "N" for a digit, "O" for any other.
        position: Of its first character in PDFium's text; -1 for a space.
    """

    text: str
    x0: float
    x1: float
    kind: str
    position: int


def rebuild_scripts(lines: Sequence[Line], text: PageText, page: Any, space: PageSpace) -> None:
    """Rebuilds the raw lines of a page that have letters of such scripts."""
    if text.raw.isascii() or not _REBUILT.search(text.raw):
        return
    marks: list[BBox] | None = None
    for line in lines:
        if line.turn:
            continue
        if _RIGHT_TO_LEFT.search(line.text):
            _rebuild(line, text)
        elif _CLUSTERED.search(line.text):
            _drop_repeats(line, text)
            marks = _glyph_boxes(page, space) if marks is None else marks
            _close_gaps(line, text, marks)


def _rebuild(line: Line, text: PageText) -> None:
    visual = _spaced(_clusters(line, text), text.em(line))
    words = sum(1 for cluster in visual if cluster.position < 0) + 1
    if words > _MOST_WORDS * len(line.text.split()) + 1:
        return
    right = sum(cluster.kind == "R" for cluster in visual)
    left = sum(cluster.kind == "L" for cluster in visual)
    logical = _to_the_left(visual) if right >= left else _to_the_right(visual)
    spans: list[list[_Cluster]] = [[]]
    for cluster in logical:
        if cluster.position < 0:
            spans.append([])
        else:
            spans[-1].append(cluster)
    spans = [span for span in spans if span]
    if not spans:
        return
    line.spans = [
        ("".join(cluster.text for cluster in span), min(cluster.position for cluster in span))
        for span in spans
    ]
    line.text = " ".join(part for part, _ in line.spans)


def _clusters(line: Line, text: PageText) -> list[_Cluster]:
    """Returns the letters of a line with their marks, from left to right."""
    letters = [
        text.letter(char, position + index)
        for part, position in line.spans
        for index, char in enumerate(part)
        if not char.isspace() and char != NOTHING
    ]
    bases = [letter for letter in letters if not unicodedata.combining(letter.text)]
    marks: dict[int, str] = {}
    for mark in letters:
        if unicodedata.combining(mark.text) and bases:
            nearest = min(bases, key=lambda base: abs(_middle(base) - _middle(mark)))
            marks[nearest.position] = marks.get(nearest.position, "") + mark.text
    clusters = [
        _Cluster(
            base.text + marks.get(base.position, ""),
            base.x0,
            base.x1,
            _kind(base.text),
            base.position,
        )
        for base in bases
    ]
    # Characters of one ligature share a box: then PDFium's order is that of reading.
    return sorted(clusters, key=lambda c: (round(c.x0 + c.x1, 1), -c.position))


def _middle(letter: Word) -> float:
    return (letter.x0 + letter.x1) / 2


def _kind(char: str) -> str:
    if char.isdecimal():
        return "N"
    direction = unicodedata.bidirectional(char)
    return "R" if direction in ("R", "AL") else "L" if direction == "L" else "O"


def _spaced(clusters: Sequence[_Cluster], size: float) -> list[_Cluster]:
    """Returns the letters with a space in each gap."""
    spaced = list(clusters[:1])
    for one, other in pairwise(clusters):
        if other.x0 - one.x1 > _SPACE * size:
            spaced.append(_Cluster(" ", one.x1, other.x0, "O", -1))
        spaced.append(other)
    return spaced


def _to_the_left(visual: Sequence[_Cluster]) -> list[_Cluster]:
    """Returns the logical order of letters that are read to the left, with runs to the right."""
    clusters = _mirrored(visual[::-1])
    logical: list[_Cluster] = []
    # Beside Arabic letters, such signs go with the text instead.
    ends = "" if any(_ARABIC.match(cluster.text) for cluster in clusters) else _NUMBER_ENDS
    place = 0
    while place < len(clusters):
        stop = _end_of_run(clusters, place, ends)
        # What runs to the right was turned around with the rest.
        logical += clusters[place:stop][::-1] if stop > place else [clusters[place]]
        place = max(stop, place + 1)
    return logical


def _end_of_run(clusters: Sequence[_Cluster], place: int, ends: str) -> int:
    """Returns where a number or a run of words to the right ends; `place` where none begins.

    Args:
        ends: Signs that are part of a number beside them.
    """
    first = clusters[place]
    stop = place
    if first.text in ends and clusters[place + 1 : place + 2]:
        return _end_of_run(clusters, place + 1, ends) if clusters[place + 1].kind == "N" else place
    if first.kind not in "LN":
        return place
    seen = ""
    for index in range(place, len(clusters)):
        cluster = clusters[index]
        if cluster.kind == "R":
            break
        if cluster.kind in "LN":
            between = clusters[stop:index]
            joined = "".join(c.text for c in between)
            numeric = cluster.kind == "N" and "L" not in seen
            apart = bool(between) and not (len(joined) == 1 and joined in _NUMBER_MARKS)
            rest = _until_right(clusters, index)
            if numeric and apart and not any(c.kind == "L" for c in rest):
                break
            seen += cluster.kind
            stop = index + 1
        elif cluster.text in ends and index == stop and clusters[index - 1].kind == "N":
            stop = index + 1
    return stop


def _until_right(clusters: Sequence[_Cluster], place: int) -> list[_Cluster]:
    """Returns the letters from a place on up to the next one that is read to the left."""
    found = []
    for cluster in clusters[place:]:
        if cluster.kind == "R":
            break
        found.append(cluster)
    return found


def _to_the_right(visual: Sequence[_Cluster]) -> list[_Cluster]:
    """Returns the logical order of letters that are read to the right, with runs to the left."""
    logical: list[_Cluster] = []
    place = 0
    while place < len(visual):
        if visual[place].kind != "R":
            logical.append(visual[place])
            place += 1
            continue
        stop = place
        for index in range(place, len(visual)):
            if visual[index].kind == "L":
                break
            if visual[index].kind == "R":
                stop = index + 1
        logical += _to_the_left(visual[place:stop])
        place = stop
    return logical


def _mirrored(clusters: Sequence[_Cluster]) -> list[_Cluster]:
    """Turns brackets around where they were named by their shape on the page."""
    open_ones: list[str] = []
    turned = []
    for cluster in clusters:
        sign = cluster.text
        if sign in _MIRRORED:
            # One that opens again what is open closes it; one that closes nothing opens.
            opening = sign if sign in _OPENING else _MIRRORED[sign]
            if opening in open_ones:
                open_ones.remove(opening)
                sign = _MIRRORED[opening]
            else:
                open_ones.append(opening)
                sign = opening
        turned.append(cluster._replace(text=sign))
    return turned


def _drop_repeats(line: Line, text: PageText) -> None:
    """Drops clusters that browsers draw in two parts and name twice."""
    start, em = line.spans[0][1], text.em(line)
    runs: list[tuple[int, int, int]] = []  # text object, begin, end
    for index in range(len(line.text)):
        item = text.object_at(start + index)
        if runs and runs[-1][0] == item:
            runs[-1] = (item, runs[-1][1], index + 1)
        else:
            runs.append((item, index, index + 1))
    chars = list(line.text)
    for number, (_, begin, end) in enumerate(runs):
        part = line.text[begin:end]
        if end - begin < 2 or not _CLUSTERED.search(part):
            continue
        place = text.letter(part[0], start + begin).x0
        for _, other, other_end in runs[max(0, number - 3) : number]:
            near = abs(text.letter("", start + other).x0 - place) < _SAME_PLACE * em
            if near and line.text[other:other_end] == part:
                chars[begin:end] = NOTHING * (end - begin)
    replaced = "".join(chars)
    if replaced != line.text:
        replace_text(line, replaced)


def _glyph_boxes(page: Any, space: PageSpace) -> list[BBox]:
    """Returns the boxes of the text objects of a page, which may be glyphs, by their left edge."""
    handle, bounds = foreign.address_of(page), foreign.Floats(4)
    boxes = []
    for place in range(min(foreign.object_count(handle), _MAX_OBJECTS)):
        item = foreign.object_at(handle, place)
        if foreign.object_kind(item) == pdfium.FPDF_PAGEOBJ_TEXT and foreign.object_bounds(
            item, *bounds.addresses
        ):
            boxes.append(space.box(*bounds.read()))
    return sorted(boxes)


def _close_gaps(line: Line, text: PageText, glyphs: Sequence[BBox]) -> None:
    """Drops spaces that PDFium sees between the letters of a word.

    Args:
        glyphs: Boxes of glyphs, sorted. A letter may have several and the first one's box.
    """
    start, em = line.spans[0][1], text.em(line)
    chars = list(line.text)
    for index in range(1, len(chars) - 1):
        before, after = chars[index - 1], chars[index + 1]
        if chars[index] != " " or not (_CLUSTERED.match(before) or _CLUSTERED.match(after)):
            continue
        space = text.letter(" ", start + index)
        if space.x1 > space.x0:
            continue  # a space of the file, not one that PDFium concludes
        last, following = (
            text.letter(before, start + index - 1),
            text.letter(after, start + index + 1),
        )
        right = last.x1
        for place in range(bisect_left(glyphs, (last.x0 - em,)), len(glyphs)):
            x0, y0, x1, y1 = glyphs[place]
            if x0 >= following.x0 - _SAME_PLACE * em:
                break
            if y0 < line.y1 and y1 > line.y0 and x1 <= following.x0 + _SAME_PLACE * em:
                right = max(right, x1)
        gap = following.x0 - right
        least = _AM_SPACE if before == _AM else _SPACE if right == last.x1 else _INK_SPACE
        if gap < least * em:
            chars[index] = NOTHING
    replaced = "".join(chars)
    if replaced != line.text:
        replace_text(line, replaced)
