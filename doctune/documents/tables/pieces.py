"""Splits lines at wide gaps into pieces, which make up the cells of tables."""

import itertools
import re
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import NamedTuple

from doctune.documents.lines import Line, PageText, Word
from doctune.documents.model import BBox
from doctune.documents.words import is_leftward

_CELL_GAP = 0.9  # em: words further apart belong to different pieces
_NEAR = 0.6  # em: pieces no further apart are joined
_LOOSE_GAP = 1.6  # em: as _CELL_GAP, where all gaps of the line are wide, as in justified text
CAPTION = re.compile(
    r"^\W*(?:(?:table|tab\.|tabelle|tableau|tabla|tabella|tabela|exhibit)\b"
    r"|(?:\u0442\u0430\u0431\u043b|\u8868|\ud45c)\w*\s*\d)",
    re.I,
)
_MOST_HEIGHT = 1.4  # em
_FIRST = itemgetter(0)
_LEFT = itemgetter(1)
_WIDE = re.compile(r"[\u1100-\u11ff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uff60]")
_VALUE_CHARS = 60
_DIGIT = re.compile(r"\d")
_VALUE = re.compile(
    r"^[^\w]*(?:\d[\d.,\s%*()\u2013\u2212/:+-]*[a-zA-Z%\u20ac$]{0,3}|[^\w]{1,3}|n\.?a\.?|N/A)[^\w]*$"
)


class Piece(NamedTuple):
    """A part of a line without wide gaps, and its box."""

    text: str
    x0: float
    y0: float
    x1: float
    y1: float
    line: Line

    @property
    def middle(self) -> float:
        return (self.y0 + self.y1) / 2

    @property
    def is_value(self) -> bool:
        """Whether it is a number, or a sign for a missing one."""
        return len(self.text) <= _VALUE_CHARS and _VALUE.match(self.text) is not None


def has_gaps(line: Line) -> bool:
    """Returns whether a line is wider than its characters, so that there must be wide gaps."""
    width, text = line.x1 - line.x0, line.text
    if width <= (0.5 * len(text) + 1.0) * line.size or " " not in text:
        return False
    return text.isascii() or width > (0.5 * (len(text) + len(_WIDE.findall(text))) + 1) * line.size


def split_line(line: Line, text: PageText) -> list[Piece]:
    """Returns the pieces of a line."""
    return split_at_gaps(line, text) if has_gaps(line) else [whole_piece(line)]


def split_at_gaps(line: Line, text: PageText) -> list[Piece]:
    """Returns the pieces of a line that has gaps."""
    words = text.words(line)
    gaps = sorted([b[1] - a[3] for a, b in itertools.pairwise(words)])
    if not gaps or (gaps[-1] <= _CELL_GAP * line.size and not _jumps(words)):
        return [whole_piece(line)]
    least = (_LOOSE_GAP if _is_justified(line, words, gaps) else _CELL_GAP) * line.size
    return [piece_of(group, line) for group in _groups(words, least)]


def whole_piece(line: Line) -> Piece:
    """Returns a line as one piece."""
    return Piece(line.text, line.x0, line.y0, line.x1, line.y1, line)


def _is_justified(line: Line, words: Sequence[Word], gaps: list[float]) -> bool:
    """Returns whether all gaps of a line are wide although its words are not numbers."""
    if len(gaps) <= 5 or gaps[len(gaps) // 6] <= 0.5 * line.size:
        return False
    if line.mono:
        return True
    return sum(1 for word in words if _DIGIT.search(word[0])) < 0.5 * len(words)


def _jumps(words: Sequence[Word]) -> bool:
    """Returns whether a word is left of the first one."""
    left = words[0][1]
    return any(word[3] < left for word in words)


def piece_of(words: Sequence[Word], line: Line) -> Piece:
    """Joins adjacent words of a line into one piece."""
    texts, x0s, _, x1s, _, _ = zip(*words, strict=True)
    if all(map(is_leftward, texts)):
        texts = texts[::-1]
    return Piece(" ".join(texts), min(x0s), line.y0, max(x1s), line.y1, line)


def group_words(words: Sequence[Word], line: Line) -> list[Piece]:
    """Groups words into pieces by the gaps between them."""
    if len(words) == 1:
        ((word, x0, _, x1, _, _),) = words
        return [Piece(word, x0, line.y0, x1, line.y1, line)]
    return [piece_of(group, line) for group in _groups(words, _CELL_GAP * line.size)]


def _groups(words: Sequence[Word], least: float) -> Iterable[list[Word]]:
    group = [words[0]]
    for word in words[1:]:
        if word.x0 - group[-1].x1 > least or word.x1 < group[0].x0:
            yield group
            group = []
        group.append(word)
    yield group


def text_rows(pieces: Iterable[Piece]) -> list[list[Piece]]:
    """Groups pieces into rows of text, from the top down."""
    rows: list[list[Piece]] = []
    last = float("-inf")
    for double, piece in sorted([(p[2] + p[4], p) for p in pieces], key=_FIRST):
        # The box of a bullet may be twice as high as its line.
        if double - last < 0.8 * min(piece[4] - piece[2], _MOST_HEIGHT * piece[5].size):
            rows[-1].append(piece)
        else:
            rows.append([piece])
        last = double
    for row in rows:
        if len(row) > 1:
            row.sort(key=_LEFT)
    return rows


def join_near(row: list[Piece]) -> list[Piece]:
    """Joins pieces of a row that are separated only by a change of font or a superscript."""
    joined = row[:1]
    for piece in row[1:]:
        last = joined[-1]
        if piece.x0 - last.x1 < _NEAR * max(piece.line.size, last.line.size):
            joined[-1] = last._replace(
                text=f"{last.text} {piece.text}",
                x1=max(last.x1, piece.x1),
                y0=min(last.y0, piece.y0),
                y1=max(last.y1, piece.y1),
            )
        else:
            joined.append(piece)
    return joined


def box_around(pieces: Sequence[Piece]) -> BBox:
    return (
        min(piece.x0 for piece in pieces),
        min(piece.y0 for piece in pieces),
        max(piece.x1 for piece in pieces),
        max(piece.y1 for piece in pieces),
    )


def cut_lines(lines: list[Line], boxes: Sequence[BBox], text: PageText) -> list[Line]:
    """Splits lines that continue beyond a table, so that the rest of them stays text."""
    for x0, y0, x1, y1 in boxes:
        cut: list[Line] = []
        for line in lines:
            crosses = (
                y0 <= (line.y0 + line.y1) / 2 <= y1
                and not line.turn
                and (line.x0 < x0 - 4 < line.x1 or line.x0 < x1 + 4 < line.x1)
            )
            cut += _cut(line, x0 - 2, x1 + 2, text) if crosses else [line]
        lines = cut
    return lines


def _cut(line: Line, left: float, right: float, text: PageText) -> list[Line]:
    parts: tuple[list[Word], list[Word], list[Word]] = [], [], []
    for word in text.words(line):
        middle = (word.x0 + word.x1) / 2
        parts[0 if middle < left else 1 if middle <= right else 2].append(word)
    return [part_of(line, words, line.hyphen) for words in parts if words]


def part_of(line: Line, words: Sequence[Word], hyphen: bool) -> Line:
    """Returns some words of a line as a separate line.

    Args:
        hyphen: Whether the part ends in a hyphen that breaks a word.
    """
    part = Line(" ".join(word.text for word in words), words[0].position, hyphen)
    part.spans = [(word.text, word.position) for word in words]
    part.font, part.size, part.kind = line.font, line.size, line.kind
    part.x0, part.y0 = min(word.x0 for word in words), line.y0
    part.x1, part.y1 = max(word.x1 for word in words), line.y1
    return part
