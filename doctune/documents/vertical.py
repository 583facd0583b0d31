"""Vertical writing that browsers print letter by letter, and initials over several lines."""

import re
from statistics import median

from doctune.documents.geometry import turn_box
from doctune.documents.lines import Line

_SCRIPTS = re.compile("[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]")
_MOST_CHARS = 4  # of a piece of a column
_LEAST_PIECES, _LEAST_SCRIPT = 4, 3
_SAME_COLUMN, _NEXT = 0.6, 1.5  # em
_DOWN = 1
_COLUMN = "column"  # the kind of a column until it is levelled
_INITIAL_SIZE = 1.8  # of the size of the text beside it
_INITIAL_GAP = 1.3  # em of the text
_WORDS = frozenset({"A", "I", "O"})  # initials that may be words


def join_columns(lines: list[Line]) -> list[Line]:
    """Joins letters that stand below each other, in scripts that are written so, to columns.

    A column is a line that runs down; its letters are upright.
    """
    if sum(1 for line in lines if len(line.text) < _MOST_CHARS) < _LEAST_PIECES:
        return lines
    if not any(not line.text.isascii() and _SCRIPTS.search(line.text) for line in lines):
        return lines
    runs: list[list[Line]] = []
    for line in lines:
        if runs and _is_piece(line) and _is_piece(runs[-1][-1]) and _is_below(line, runs[-1][-1]):
            runs[-1].append(line)
        else:
            runs.append([line])
    tops = [run[0].y0 for run in runs if _is_written_down(run)]
    if not tops:
        return lines
    joined: list[Line] = []
    for run in runs:
        # The last column of a paragraph may have one letter.
        short = len(run[0].text) == 1 and _SCRIPTS.match(run[0].text) is not None
        short = short and any(abs(run[0].y0 - top) < _NEXT * run[0].size for top in tops)
        joined += [_column(run)] if short or _is_written_down(run) else run
    return joined


def _is_piece(line: Line) -> bool:
    return len(line.text) < _MOST_CHARS or (line.turn == _DOWN and line.text.isalnum())


def _is_below(line: Line, last: Line) -> bool:
    em = max(line.x1 - line.x0, last.x1 - last.x0, 4.0)
    aligned = abs(line.x0 + line.x1 - last.x0 - last.x1) < 2 * _SAME_COLUMN * em
    return aligned and line.y0 > last.y0 and line.y0 - last.y1 < _NEXT * em


def _is_written_down(pieces: list[Line]) -> bool:
    text = "".join(piece.text for piece in pieces)
    return len(pieces) >= _LEAST_PIECES and len(_SCRIPTS.findall(text)) >= _LEAST_SCRIPT


def _column(pieces: list[Line]) -> Line:
    column, text = pieces[0], "".join(piece.text for piece in pieces)
    column.size = median(piece.size for piece in pieces)
    for piece in pieces[1:]:
        column.spans += piece.spans
        column.x0, column.x1 = min(column.x0, piece.x0), max(column.x1, piece.x1)
        column.y1 = max(column.y1, piece.y1)
    column.text, column.turn, column.kind = text, _DOWN, _COLUMN
    return column


def is_column(line: Line) -> bool:
    """Returns whether a line is a column of `join_columns`."""
    return line.kind == _COLUMN


def level_columns(lines: list[Line], width: float, height: float) -> list[Line]:
    """Moves columns to the frame in which they run to the right, the first at the top.

    Args:
        width, height: The size of the page.
    """
    for line in lines:
        box = line.x0, line.y0, line.x1, line.y1
        line.x0, line.y0, line.x1, line.y1 = turn_box(box, -_DOWN % 4, width, height)
        line.turn, line.kind = 0, ""
    return sorted(lines, key=lambda line: (round(line.y0), line.x0))


def join_initials(lines: list[Line]) -> list[Line]:
    """Joins a large initial to the first of the lines beside it."""
    initials = [line for line in lines if len(line.text) == 1 and line.text.isupper()]
    words: set[str] = set()
    for initial in initials:
        beside = sorted(
            (line for line in lines if _is_beside(line, initial)), key=lambda line: line.y0
        )
        if len(beside) < 2 and not (beside and beside[0].text[0].islower()):
            continue
        first = beside[0]
        word = first.text.split()[0].lower()
        words = words or {word for line in lines for word in line.text.lower().split()[1:]}
        apart = initial.text in _WORDS and word in words
        apart = apart and initial.text.lower() + word not in words
        first.text = f"{initial.text}{' ' * apart}{first.text}"
        first.spans = [*initial.spans, *first.spans]
        first.y0 = min(first.y0, initial.y0) if len(beside) == 1 else first.y0
        lines = [line for line in lines if line is not initial]
    return lines


def _is_beside(line: Line, initial: Line) -> bool:
    """Returns whether a line of text begins right of an initial, within its height."""
    middle = (line.y0 + line.y1) / 2
    return (
        len(line.text) > 1
        and not line.turn
        and line.size * _INITIAL_SIZE <= initial.size
        and -0.3 * line.size <= line.x0 - initial.x1 < _INITIAL_GAP * line.size
        and initial.y0 < middle < initial.y1
    )
