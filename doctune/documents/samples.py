"""Sample pages for the report: each page as an image, with its blocks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from doctune.documents import store
from doctune.documents.errors import PdfError
from doctune.documents.options import ParseOptions
from doctune.documents.pool import Outcome, Task, WorkerPool
from doctune.documents.wire import Picture, unpack_pictures

_MAX_PAGES = 12  # each has about 100 kB
_MAX_DOUBTFUL = 4  # of them, files with warnings


class Cell(NamedTuple):
    """A table cell for HTML."""

    text: str
    heads: bool
    rows: int
    columns: int


@dataclass(frozen=True)
class Sample:
    """A page as an image, with its blocks.

    Attributes:
        blocks: Rows of `blocks.parquet`, each with its `table` (rows of cells) and its `place`
            (left, top, width and height in per cent of the image).
    """

    source: str
    picture: Picture
    blocks: list[dict[str, Any]]


def draw_samples(
    folder: Path, blocks_path: Path, rows: Sequence[dict[str, Any]], options: ParseOptions
) -> list[Sample]:
    """Renders pages from all over a corpus, for each file those with the most kinds of blocks.

    A page that cannot be rendered is left out.

    Args:
        folder: The folder with the files of `rows`.
    """
    chosen = _choose(rows)
    each = max(1, _MAX_PAGES // max(1, len(chosen)))
    read = {row["doc_id"]: store.read_blocks(blocks_path, row["doc_id"]) for row in chosen}
    samples: dict[int, list[Sample]] = {}

    def keep(task: Task, outcome: Outcome) -> list[Task]:
        if isinstance(outcome, PdfError):
            return []
        row = chosen[task.index]
        samples[task.index] = [
            Sample(row["source"], picture, _placed(read[row["doc_id"]], picture))
            for picture in unpack_pictures(outcome)
        ]
        return []

    tasks = [
        Task(number, folder / row["source"], pictures=_telling_pages(read[row["doc_id"]], each))
        for number, row in enumerate(chosen)
    ]
    with WorkerPool(1, options) as pool:
        pool.run(tasks, keep)
    return [sample for _, found in sorted(samples.items()) for sample in found]


def _choose(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns some files with warnings, and others from all over the corpus, in its order."""
    readable = [row for row in rows if row["chars"] and not row["duplicate_of"]]
    doubtful = [row for row in readable if row["warnings"]][:_MAX_DOUBTFUL]
    others = [row for row in readable if row not in doubtful]
    step = max(1, math.ceil(len(others) / (_MAX_PAGES - len(doubtful))))
    chosen = [*doubtful, *others[::step]]
    return [row for row in readable if row in chosen]


def _telling_pages(blocks: Sequence[dict[str, Any]], count: int) -> tuple[int, ...]:
    """Returns the numbers of the pages with the most kinds of blocks, in page order."""
    kinds: dict[int, set[str]] = {}
    for block in blocks:
        kinds.setdefault(block["page"], set()).add(block["kind"])
    return tuple(sorted(sorted(kinds, key=lambda page: (-len(kinds[page]), page))[:count]))


def _placed(blocks: Sequence[dict[str, Any]], picture: Picture) -> list[dict[str, Any]]:
    placed = []
    for block in blocks:
        if block["page"] == picture.page:
            x0, y0, x1, y1 = block["bbox"]
            width, height = max(picture.width, 1.0), max(picture.height, 1.0)
            place = [
                round(100 * share, 2)
                for share in (x0 / width, y0 / height, (x1 - x0) / width, (y1 - y0) / height)
            ]
            placed.append({**block, "place": place, "table": _cells(block)})
    return placed


def _cells(block: dict[str, Any]) -> list[list[Cell]]:
    """Returns the cells of a table, without those that a merged cell covers."""
    sizes = {(row, column): (rows, columns) for row, column, rows, columns in block["spans"] or ()}
    covered = {
        (row + down, column + right)
        for (row, column), (rows, columns) in sizes.items()
        for down in range(rows)
        for right in range(columns)
        if down or right
    }
    heads = block["header_rows"] or 0
    return [
        [
            Cell(text, row < heads, *sizes.get((row, column), (1, 1)))
            for column, text in enumerate(texts)
            if (row, column) not in covered
        ]
        for row, texts in enumerate(block["rows"] or ())
    ]
