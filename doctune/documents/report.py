"""The HTML report of parsing: one self-contained file."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

from doctune.documents import store
from doctune.documents.options import ParseOptions
from doctune.documents.samples import draw_samples
from doctune.documents.summary import CorpusSummary
from doctune.files import write_text

_MAX_ROWS = 1_000  # of a table, so that browsers can display it
# Dark enough for white text on them, and for lines on white.
_COLOURS = {
    "heading": "#c2255c",
    "paragraph": "#1864ab",
    "list": "#2b8a3e",
    "table": "#c2410c",
    "caption": "#862e9c",
    "code": "#343a40",
    "formula": "#0b7285",
    "footnote": "#4d7c0f",
    "figure": "#5f6772",
    "header": "#7a5c00",
    "footer": "#7a5c00",
    "watermark": "#6c757d",
    "line_number": "#6c757d",
}


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
        loader=jinja2.PackageLoader("doctune.documents", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    files = [
        {**row, "kinds": json.loads(row["kinds"]), "lost": _share_lost([row])}
        for row in rows
        if row["status"] == "parsed"
    ]
    # Files with problems come first.
    files.sort(key=lambda row: not row["warnings"])
    rejected = [row for row in rows if row["status"] == "rejected"]
    kinds: Counter[str] = Counter()
    for row in files:
        kinds.update(row["kinds"])
    text = environment.get_template("report.html").render(
        files=files[:_MAX_ROWS],
        rejected=rejected[:_MAX_ROWS],
        reasons=Counter(row["reason"] for row in rejected).most_common(),
        warnings=summary.warnings[:_MAX_ROWS],
        hidden={
            "files": max(0, len(files) - _MAX_ROWS),
            "rejected": max(0, len(rejected) - _MAX_ROWS),
            "warnings": max(0, len(summary.warnings) - _MAX_ROWS),
        },
        summary=summary,
        seconds=seconds,
        kinds=kinds.most_common(),
        languages=Counter(
            row["language"] or "unknown" for row in files if not row["duplicate_of"]
        ).most_common(),
        lost=_share_lost(files),
        samples=draw_samples(folder, out_dir / store.BLOCKS_FILE, rows, options),
        colours=_COLOURS,
    )
    write_text(path, text)


def _share_lost(rows: Sequence[dict[str, Any]]) -> float:
    """Returns the share of characters that are in no block; older rows do not have the counts."""
    there = sum(row.get("text_chars") or 0 for row in rows)
    return sum(row.get("lost_chars") or 0 for row in rows) / there if there else 0.0
