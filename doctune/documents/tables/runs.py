"""Finds table candidates: runs of rows with several pieces that follow each other closely."""

from collections.abc import Sequence
from statistics import median

from doctune.documents.tables.columns import Row, columns_of, find_columns, has_several_values

MIN_ROWS = 3
_MAX_ROW_GAP = 2.0  # heights of a line
_MAX_PART_GAP = 4.0  # the same, between parts of a table with the same columns
_PROSE_CHARS = 45
_TEXT_CHARS = 25  # of each piece of a row of prose in columns
_MIN_VALUES = 3  # in a row of one piece: two may be a telephone number
_MAX_TITLES = 2  # rows above the first full one with a title over several columns
_MAX_TITLE_GAP = 1.2  # heights of a line
_MOST_TITLE_SIZE = 1.1  # of the size of the column headers below
_SAME_COLUMNS_SHARE = 0.8


def find_runs(rows: Sequence[Row]) -> list[list[Row]]:
    """Returns runs of rows that begin and end with several pieces."""
    runs: list[list[Row]] = []
    run: list[Row] = []
    for row in rows:
        if run and not _follows(run[-1], row, _MAX_ROW_GAP):
            runs.append(run)
            run = []
        if _is_prose(row, run):
            # An empty run: the next run must not be joined with the previous one.
            if run:
                runs += [run, []]
                run = []
            elif runs and runs[-1]:
                runs.append([])
        else:
            run.append(row)
    runs.append(run)
    long = [run for run in _join(runs) if len(run) >= MIN_ROWS]
    return [trimmed for run in long if len(trimmed := _trim(run)) >= MIN_ROWS]


def _follows(above: Row, row: Row, most: float) -> bool:
    bottom = max([piece[4] for piece in above])
    gap = min([piece[2] for piece in row]) - bottom
    # Fast path: most rows follow directly.
    return gap <= 0 or gap < most * max([piece[4] - piece[2] for piece in above])


def _is_prose(row: Row, run: Sequence[Row]) -> bool:
    """Returns whether a row is one long piece that is not a title over the run's columns."""
    if len(row) > 1 or len(row[0].text) <= _PROSE_CHARS:
        return False
    if not run or len(run[-1]) < 2:
        return True
    # A row of long numbers is one piece, since the gaps between them are as small as between words.
    return row[0].x0 <= run[-1][1].x0 - 1 and not _is_values(row)


def _is_values(row: Row) -> bool:
    text = row[0].text
    return text.count(" ") >= _MIN_VALUES - 1 and has_several_values(text)


def _join(runs: Sequence[list[Row]]) -> list[list[Row]]:
    """Joins parts of a table that are separated by more space, if their columns are the same."""
    joined: list[list[Row]] = []
    for run in runs:
        if run and joined and joined[-1] and _goes_on(joined[-1], run):
            joined[-1] = joined[-1] + run
        else:
            joined.append(run)
    return joined


def _goes_on(above: Sequence[Row], run: Sequence[Row]) -> bool:
    full = [row for row in run if len(row) > 1]
    begun = [row for row in above if len(row) > 1]
    if not full or len(begun) < MIN_ROWS or not _follows(above[-1], run[0], _MAX_PART_GAP):
        return False
    columns = find_columns(begun)
    pieces = [piece for row in full for piece in row]
    within = sum(
        1
        for piece in pieces
        for first, last in [columns_of(piece, columns)]
        if first == last and columns[first][0] < piece.x1 and piece.x0 < columns[first][1]
    )
    return len(columns) > 2 and within >= _SAME_COLUMNS_SHARE * len(pieces)


def _trim(run: list[Row]) -> list[Row]:
    full = [i for i, row in enumerate(run) if len(row) > 1 or _is_values(row)]
    if len(full) < MIN_ROWS:
        return []
    full = _without_prose(run, full)
    # Text with occasional gaps is not a table.
    if len(full) < 0.5 * (full[-1] + 1 - full[0]):
        return []
    return run[_first_title(run, full) : full[-1] + 1]


def _without_prose(run: Sequence[Row], full: list[int]) -> list[int]:
    """Removes rows of prose in columns at both ends, if most rows in between have values."""
    first, stop = 0, len(full)
    while stop and _is_text(run[full[stop - 1]]):
        stop -= 1
    while first < stop and _is_text(run[full[first]]):
        first += 1
    kept = full[first:stop]
    valued = sum(1 for i in kept if any(piece.is_value for piece in run[i]))
    return kept if len(kept) >= MIN_ROWS and 2 * valued > len(kept) else full


def _is_text(row: Row) -> bool:
    return len(row) > 1 and all(len(piece.text) >= _TEXT_CHARS for piece in row)


def _first_title(run: Sequence[Row], full: Sequence[int]) -> int:
    """Returns the index of the first row that is a title over columns other than the first."""
    first = full[0]
    side = median(run[index][0].x1 for index in full)
    while first > max(0, full[0] - _MAX_TITLES) and _is_title(run[first - 1], run[first], side):
        first -= 1
    return first


def _is_title(row: Row, below: Row, side: float) -> bool:
    (piece,) = row
    smaller = piece.line.size <= _MOST_TITLE_SIZE * below[0].line.size
    return piece.x0 > side and smaller and _follows(row, below, _MAX_TITLE_GAP)
