"""The HTML report on what was read: one self-contained file."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from doctune.documents import store
from doctune.documents.corpus import CorpusSummary
from doctune.documents.errors import PdfError
from doctune.documents.options import ParseOptions
from doctune.documents.pool import Outcome, Task, WorkerPool
from doctune.files import write_text

_MAX_SAMPLES = 12  # pages that are drawn: a few hundred kilobytes each would add up
_COLOURS = {
    "heading": "#c2255c",
    "paragraph": "#1971c2",
    "list": "#2f9e44",
    "table": "#e8590c",
    "caption": "#9c36b5",
    "code": "#495057",
    "formula": "#0c8599",
    "footnote": "#5c940d",
    "figure": "#868e96",
    "header": "#adb5bd",
    "footer": "#adb5bd",
    "watermark": "#ced4da",
    "line_number": "#ced4da",
}


@dataclass(frozen=True)
class Sample:
    """A page as a picture, and the blocks that were read from it."""

    source: str
    page: int
    jpeg: str
    width: float
    height: float
    blocks: list[dict[str, Any]]


def write_report(
    path: Path,
    folder: Path,
    out_dir: Path,
    rows: Sequence[dict[str, Any]],
    summary: CorpusSummary,
    seconds: float,
    options: ParseOptions,
) -> None:
    """Writes the report: totals, rejects with reasons, a row for each file, pages with blocks."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("doctune.documents", "."), autoescape=True
    )
    files = [
        {**row, "kinds": json.loads(row["kinds"])} for row in rows if row["status"] == "parsed"
    ]
    text = environment.get_template("report.html").render(
        files=files,
        summary=summary,
        seconds=seconds,
        samples=_samples(folder, out_dir, rows, options),
        colours=_COLOURS,
    )
    write_text(path, text)


def _samples(
    folder: Path, out_dir: Path, rows: Sequence[dict[str, Any]], options: ParseOptions
) -> list[Sample]:
    """Draws pages from all over the corpus; a page that cannot be drawn is left out."""
    readable = [row for row in rows if row["chars"] and not row["duplicate_of"]]
    if not readable:
        return []
    step = max(1, len(readable) // _MAX_SAMPLES)
    chosen = readable[::step][:_MAX_SAMPLES]
    each = max(1, _MAX_SAMPLES // len(chosen))
    samples: list[Sample] = []

    def keep(task: Task, outcome: Outcome) -> list[Task]:
        if not isinstance(outcome, PdfError):
            row = chosen[task.index]
            pages = store.read_pages(out_dir / store.BLOCKS_FILE, row["doc_id"], task.pictures)
            samples.extend(
                Sample(
                    row["source"],
                    picture["page"],
                    picture["jpeg"],
                    picture["width"],
                    picture["height"],
                    [block for block in pages if block["page"] == picture["page"]],
                )
                for picture in outcome["pictures"]
            )
        return []

    tasks = [
        Task(number, folder / row["source"], pictures=_spread(row["pages"], each))
        for number, row in enumerate(chosen)
    ]
    with WorkerPool(1, options) as pool:
        pool.run(tasks, keep)
    return samples


def _spread(pages: int, count: int) -> tuple[int, ...]:
    """Numbers of pages from the second on, evenly over the document: the first is often a title."""
    count = min(count, pages)
    first = 2 if pages > count else 1
    return tuple(first + (pages - first + 1) * index // count for index in range(count))
