"""Rotated text: whole pages, and parts of upright pages.

Each direction is read in its own frame, in which the page is rotated so that its lines run to the
right. Columns, tables and headings are then detected as on any page.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from operator import itemgetter

from doctune.documents.characters import Word
from doctune.documents.geometry import PageSpace, turn_box
from doctune.documents.lines import Line, PageText
from doctune.documents.model import BBox
from doctune.documents.tables.grid import Grid
from doctune.documents.vertical import is_column

_MAIN_SHARE = 0.5  # of a page's characters
_LEAST_CHARS = 60  # of text in another direction than the page's: less is a label or a stamp
_LEAST_LINES = 2
_SIDEWAYS_SHARE = 0.8  # of a table's characters
_NEXT_LINE, _SAME_LINE = 1.5, 1.0  # em
_LEFT = itemgetter(1)
_MARGIN = 0.09  # of the page's width


def main_turn(lines: Sequence[Line]) -> int:
    """Returns the direction of most of a page's text, in quarter turns clockwise."""
    if not any(line.turn for line in lines):
        return 0
    chars: Counter[int] = Counter()
    for line in lines:
        # Columns of upright letters are read on the page as it is.
        chars[0 if is_column(line) else line.turn] += len(line.text)
    turn, count = chars.most_common(1)[0]
    return turn if count > _MAIN_SHARE * chars.total() else 0


def mark_margins(lines: Sequence[Line], width: float) -> None:
    """Marks isolated rotated lines in a margin as "footer".

    Stamps of preprint servers and libraries are like that.
    """
    upright = [line for line in lines if not line.turn]
    turned = [line for line in lines if line.turn % 2 and not line.kind]
    if not turned or not upright:
        return
    left, right = min(line.x0 for line in upright), max(line.x1 for line in upright)
    for line in turned:
        in_left = line.x1 < min(left, _MARGIN * width)
        if in_left or line.x0 > max(right, (1 - _MARGIN) * width):
            line.kind = "footer"


def drop_turned_tables(tables: Sequence[Grid], lines: Sequence[Line]) -> list[Grid]:
    """Returns the tables without rotated ones, in which most text is rotated."""
    return [table for table in tables if not _is_sideways(table, lines)]


def _is_sideways(table: Grid, lines: Sequence[Line]) -> bool:
    inside = [line for line in lines if _is_in(line, table.bbox)]
    turned = sum(len(line.text) for line in inside if line.turn)
    # Rotated column headers may have more text than all rows below.
    return turned > _SIDEWAYS_SHARE * sum(len(line.text) for line in inside)


def _is_in(line: Line, box: BBox) -> bool:
    x, y = (line.x0 + line.x1) / 2, (line.y0 + line.y1) / 2
    return box[0] - 2 <= x <= box[2] + 2 and box[1] - 1 <= y <= box[3] + 1


def turned_groups(lines: Sequence[Line], tables: Sequence[BBox]) -> dict[int, list[Line]]:
    """Returns the lines of a page in other directions than most, by direction.

    Args:
        tables: Boxes of upright tables, whose rotated lines are row or column headers.
    """
    groups: dict[int, list[Line]] = {}
    for line in lines:
        is_free = not line.kind or is_column(line)
        if line.turn and is_free and not any(_is_in(line, box) for box in tables):
            groups.setdefault(line.turn, []).append(line)
    return {
        turn: group
        for turn, group in groups.items()
        if any(map(is_column, group))
        or (len(group) >= _LEAST_LINES and sum(len(line.text) for line in group) >= _LEAST_CHARS)
    }


def rebuild_lines(lines: Sequence[Line], text: PageText) -> list[Line]:
    """Rebuilds the lines of a rotated frame from the positions of their words.

    PDFium orders the pieces of a line from left to right as the page is shown, which mixes words of
    several lines for rotated text.
    """
    rebuilt = [line for line in lines if line.turn]
    groups: list[list[Word]] = []
    for line in lines:
        for word in [] if line.turn else text.words(line):
            for group in reversed(groups):
                if _is_beside(word, group[-1]):
                    group.append(word)
                    break
            else:
                groups.append([word])
    # A line's position is that of most of its words.
    groups.sort(key=lambda group: group[len(group) // 2].position)
    return _in_order(rebuilt + [text.line_of(sorted(group, key=_LEFT)) for group in groups])


def _is_beside(word: Word, last: Word) -> bool:
    height = min(word.y1 - word.y0, last.y1 - last.y0)
    overlap = min(word.y1, last.y1) - max(word.y0, last.y0)
    return overlap > 0.5 * height and -0.3 * height < word.x0 - last.x1 < _SAME_LINE * height


def _in_order(lines: Sequence[Line]) -> list[Line]:
    """Swaps lines that come after the line directly below them."""
    ordered: list[Line] = []
    for line in lines:
        place = len(ordered)
        while place and _is_just_above(line, ordered[place - 1]):
            place -= 1
        ordered.insert(place, line)
    return ordered


def _is_just_above(line: Line, other: Line) -> bool:
    overlaps = line.x0 < other.x1 and other.x0 < line.x1
    return overlaps and -0.3 * line.size < other.y0 - line.y1 < _NEXT_LINE * line.size


def shown_from(space: PageSpace, turn: int) -> Callable[[BBox], BBox]:
    """Returns a function that maps boxes of a frame to the page.

    Args:
        space: The frame: the page rotated so that text of this direction runs to the right.
        turn: The direction of the text on the page, in quarter turns clockwise.
    """

    def shown(box: BBox) -> BBox:
        x0, y0, x1, y1 = turn_box(box, turn, space.width, space.height)
        return round(x0, 1), round(y0, 1), round(x1, 1), round(y1, 1)

    return shown
