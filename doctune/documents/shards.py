"""Splits a folder of PDFs into shards for several machines, and joins their results."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from heapq import heapify, heapreplace
from pathlib import Path, PurePosixPath

from doctune.documents import store
from doctune.documents.files import combine_digests, digest_pdf, list_pdfs, name_under
from doctune.documents.options import ParseOptions
from doctune.documents.report import write_report
from doctune.documents.summary import CorpusSummary, check, summarize
from doctune.errors import CorpusError
from doctune.files import write_json


@dataclass(frozen=True)
class Shard:
    """The files for one machine, by name under the folder, and their size in bytes."""

    sources: tuple[str, ...]
    bytes: int


def plan_shards(folder: Path | str, count: int) -> list[Shard]:
    """Splits the PDFs under a folder into shards of about equal size in bytes.

    Planning runs on one machine, so it uses only the sizes from the listing. Files are assigned by
    decreasing size, each to the smallest shard. Copies of a file go to the same shard, where they
    are deduplicated; only files of equal size are read to find copies.

    Args:
        count: Maximum number of shards; there are never more than distinct files.

    Raises:
        CorpusError: There is no such folder, or no PDF in it.
    """
    folder = Path(folder)
    paths = list_pdfs(folder)
    if count < 1:
        raise CorpusError(f"A corpus cannot be split into {count} shards: ask for 1 or more.")
    groups = _copies_together(folder, paths)
    loads: list[tuple[int, int]] = [(0, number) for number in range(min(count, len(groups)))]
    heapify(loads)
    members: list[list[str]] = [[] for _ in loads]
    totals = [0] * len(loads)
    for size, sources in sorted(groups, key=lambda group: (-group[0], group[1])):
        load, number = loads[0]
        heapreplace(loads, (load + max(1, size), number))
        members[number] += sources
        totals[number] += size
    return [
        Shard(tuple(sorted(sources)), total) for sources, total in zip(members, totals, strict=True)
    ]


def _copies_together(folder: Path, paths: Sequence[Path]) -> list[tuple[int, list[str]]]:
    """Returns the size of each distinct file, and the names of all its copies."""
    of_size: dict[int, list[Path]] = defaultdict(list)
    for path in paths:
        of_size[_size(path)].append(path)
    groups = []
    for size, same_size in of_size.items():
        copies: dict[str, list[str]] = defaultdict(list)
        for path in same_size:
            source = name_under(folder, path)
            digest = digest_pdf(path) if len(same_size) > 1 else ""
            copies[digest or source].append(source)
        groups += [(size, sources) for sources in copies.values()]
    return groups


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # it is assigned to some shard, and rejected there


def write_plan(folder: Path | str, count: int, path: Path) -> list[str]:
    """Plans shards, writes the plan as JSON, and returns the names of the shards.

    Raises:
        CorpusError: There is no such folder, or no PDF in it.
    """
    shards = plan_shards(folder, count)
    plan = {f"{number}-of-{len(shards)}": shard for number, shard in enumerate(shards, start=1)}
    write_json(Path(path), {name: asdict(shard) for name, shard in plan.items()})
    return list(plan)


def read_shard(path: Path, name: str) -> list[str]:
    """Returns the files of a shard, by name under the folder.

    Raises:
        CorpusError: The plan has no such shard.
    """
    plan = json.loads(Path(path).read_text(encoding="utf-8"))
    if name not in plan:
        raise CorpusError(f"The plan has no shard {name!r}; it has {', '.join(plan)}.")
    return list(plan[name]["sources"])


def join_shards(
    folders: Sequence[Path | str],
    out_dir: Path | str,
    options: ParseOptions | None = None,
    *,
    pdfs: Path | str | None = None,
    report_path: Path | str | None = None,
) -> CorpusSummary:
    """Joins the outputs of `parse_corpus` for all shards into that of a single run.

    Args:
        pdfs: The folder of PDFs; the report shows some of their pages.
        report_path: Where to write the HTML report, which needs `pdfs`; None for no report. The
            time in it is the sum over all files.

    Raises:
        CorpusError: None of the files can be read, or too many cannot.
    """
    options = options or ParseOptions()
    rows = [row for folder in folders for row in store.read_documents(Path(folder))]
    rows.sort(key=lambda row: PurePosixPath(row["source"]))
    out_dir = Path(out_dir)
    parts = [Path(folder) / store.BLOCKS_FILE for folder in folders]
    store.join_blocks(parts, out_dir / store.BLOCKS_FILE)
    store.write_documents(out_dir / store.DOCUMENTS_FILE, rows)
    digests = {row["source"]: row["doc_id"] for row in rows}
    labels = {row["source"]: row.get("labels") or "" for row in rows}
    summary = summarize(rows, combine_digests(digests, labels))
    if pdfs is not None and report_path is not None:
        seconds = sum(row["seconds"] for row in rows)
        write_report(Path(report_path), Path(pdfs), out_dir, rows, summary, seconds, options)
    check(rows, summary, options)
    return summary
