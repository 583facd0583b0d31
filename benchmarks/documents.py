"""How well and how fast PDFs are read: doctune and its peers on the same files, in one run.

    python benchmarks/documents.py --papers FOLDER --manuals FOLDER --tables FOLDER [--json]

A folder of papers or manuals holds each PDF beside its text (.txt or .txt.gz; PDFs may be .pdf.gz);
a folder of tables holds the ICDAR 2013 competition's PDFs beside their `*-str.xml`. Every engine
that can be imported takes part (`--python` names another interpreter that has the peers), each in a
process of its own on one core, imports not timed. The repeats of all engines are interleaved and
the best time of each file counts, so that a busy machine harms none more than another. Pages are
given by the second on the wall and by the second of processor time: on an idle machine they are the
same, on a busy one the second is the one to compare.
"""

import argparse
import gzip
import html
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pypdfium2

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import documents_engines as engines
from benchmarks import documents_scores as scores

_SLOW_SECONDS = 60.0  # an engine whose run takes longer is run once
_REFERENCE = "pdfplumber"


@dataclass
class Run:
    """What one engine did over the repeats."""

    seconds: dict[str, float] = field(default_factory=dict)
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    peak_mb: float = 0.0
    results: dict[str, Any] = field(default_factory=dict)
    missing: str = ""


def main() -> None:
    arguments = _arguments()
    report: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for suite in ("papers", "manuals", "tables"):
            folder = getattr(arguments, suite)
            if folder:
                report[suite] = _run_suite(suite, folder, arguments, Path(scratch))
                print(_table(suite, report[suite]), flush=True)
    if arguments.json:
        print(json.dumps(report))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for suite in ("papers", "manuals", "tables"):
        parser.add_argument(f"--{suite}", type=Path, help=f"folder of {suite} with their truth")
    parser.add_argument(
        "--engines", default="all", help="names with commas between; all by default"
    )
    parser.add_argument("--python", default=sys.executable, help="interpreter that has the peers")
    parser.add_argument(
        "--repeats", type=int, default=3, help="of fast engines; slow ones run once"
    )
    parser.add_argument("--core", type=int, default=(os.cpu_count() or 1) - 1)
    parser.add_argument("--timeout", type=float, default=900.0, help="seconds for one engine's run")
    parser.add_argument("--json", action="store_true", help="print the numbers as one last line")
    return parser.parse_args()


def _run_suite(
    suite: str, folder: Path, arguments: argparse.Namespace, scratch: Path
) -> dict[str, Any]:
    files = _collect(folder, suite, scratch / suite)
    pages = {str(pdf): len(pypdfium2.PdfDocument(pdf)) for pdf, _ in files}
    kind = "tables" if suite == "tables" else "text"
    names = list(engines.TABLE_ENGINES if kind == "tables" else engines.ENGINES)
    if arguments.engines != "all":
        names = [name for name in names if name in arguments.engines.split(",")]
    runs = {name: Run() for name in names}
    for repeat in range(arguments.repeats):
        for name, run in runs.items():
            if run.missing or (repeat and sum(run.seconds.values()) > _SLOW_SECONDS):
                continue
            _run_engine(kind, name, run, list(pages), arguments)
    score = _score_tables if kind == "tables" else _score_text
    truths = {str(pdf): truth for pdf, truth in files}
    rates = {
        name: sum(pages.values()) / sum(run.cpu_seconds.values())
        for name, run in runs.items()
        if run.seconds
    }
    return {
        name: {
            "pages": sum(pages.values()),
            "pages_per_second": round(sum(pages.values()) / sum(run.seconds.values()), 2),
            "pages_per_cpu_second": round(rates[name], 2),
            f"times_{_REFERENCE}": round(rates[name] / rates.get(_REFERENCE, float("inf")), 2),
            "peak_mb": round(run.peak_mb, 1),
            "errors": len(run.errors),
            **score(run, truths),
        }
        for name, run in runs.items()
        if run.seconds
    }


def _run_engine(
    kind: str, name: str, run: Run, files: list[str], arguments: argparse.Namespace
) -> None:
    python = sys.executable if name == "doctune" else arguments.python
    program = Path(__file__).with_name("documents_engines.py")
    with tempfile.TemporaryDirectory() as out:
        command = [python, str(program), kind, name, out, str(arguments.core), *files]
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
        if name != "doctune":
            environment.pop("PYTHONPATH")
        try:
            done = subprocess.run(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=arguments.timeout,
                env=environment,
            )
            report = json.loads(done.stdout.splitlines()[-1])
        except (subprocess.TimeoutExpired, IndexError, ValueError) as error:
            run.missing = type(error).__name__
            return
        if "missing" in report:
            run.missing = report["missing"]
            return
        for number, file in enumerate(files):
            run.results[file] = json.loads(Path(out, f"{number}.json").read_text("utf-8"))
            for best, taken in (
                (run.seconds, report["seconds"][file]),
                (run.cpu_seconds, report["cpu_seconds"][file]),
            ):
                best[file] = min(taken, best.get(file, taken))
    run.errors = report["errors"]
    run.peak_mb = max(run.peak_mb, report["peak_mb"])


def _collect(folder: Path, suite: str, scratch: Path) -> list[tuple[Path, Any]]:
    """Returns PDFs with their truth: a text, or the tables by page."""
    scratch.mkdir(parents=True)
    found: list[tuple[Path, Any]] = []
    for pdf in sorted([*folder.rglob("*.pdf"), *folder.rglob("*.pdf.gz")]):
        stem = pdf.name.removesuffix(".gz").removesuffix(".pdf")
        beside = pdf.parent
        if suite == "tables":
            truth_files = sorted(beside.glob(f"{stem}*-str.xml"))
            truth: Any = _read_tables(beside / f"{stem}-str.xml") if truth_files else None
        else:
            texts = [beside / f"{stem}.txt", beside / f"{stem}.txt.gz"]
            truth = next((_read_text(text) for text in texts if text.exists()), None)
        if truth is None:
            continue
        if pdf.suffix == ".gz":
            plain = scratch / stem / f"{stem}.pdf"
            plain.parent.mkdir(parents=True, exist_ok=True)
            plain.write_bytes(gzip.decompress(pdf.read_bytes()))
            pdf = plain
        found.append((pdf, truth))
    if not found:
        raise SystemExit(f"{folder} holds no PDF with its truth beside it.")
    return found


def _read_text(path: Path) -> str:
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8", "replace")


def _read_tables(path: Path) -> list[Counter[scores.Relation]]:
    """The relations of each table; the parts of a table that goes over pages count apart."""
    tables = []
    for table in _elements(path.read_text("utf-8", "replace"), "table"):
        relations: Counter[scores.Relation] = Counter()
        for region in _elements(table, "region"):
            relations += scores.cell_relations([_read_cell(c) for c in _elements(region, "cell")])
        tables.append(relations)
    return tables


def _elements(text: str, name: str) -> list[str]:
    return re.findall(rf"<{name}\b.*?</{name}>", text, re.DOTALL)


def _read_cell(cell: str) -> tuple[int, int, int, int, str]:
    places = {key: int(value) for key, value in re.findall(r"((?:start|end)-\w+)=.(\d+)", cell)}
    top, left = places.get("start-row", 0), places.get("start-col", 0)
    bottom, right = places.get("end-row", top), places.get("end-col", left)
    content = re.search(r"<content>(.*?)</content>", cell, re.DOTALL)
    text = content.group(1).removeprefix("<![CDATA[").removesuffix("]]>") if content else ""
    return top, bottom, left, right, html.unescape(text)


def _score_text(run: Run, truths: dict[str, str]) -> dict[str, float]:
    f1, order, chars = [], [], []
    for file, truth in truths.items():
        true_words, words = scores.words(truth), scores.words(run.results[file])
        f1.append(scores.word_f1(true_words, words))
        order.append(scores.order(true_words, words))
        chars.append(scores.character_similarity(truth, run.results[file]))
    return {
        "word_f1": round(sum(f1) / len(f1), 4),
        "order": round(sum(order) / len(order), 4),
        "characters": round(sum(chars) / len(chars), 4),
    }


def _score_tables(run: Run, truths: dict[str, list[Counter[scores.Relation]]]) -> dict[str, float]:
    """Micro scores over all relations, macro F1 over documents."""
    hits = claimed = expected = 0
    macro = []
    for file, tables in truths.items():
        truth: Counter[scores.Relation] = sum(tables, Counter())
        found: Counter[scores.Relation] = Counter()
        for _, cells in run.results[file]:
            found += scores.cell_relations(cells)
        common = sum((truth & found).values())
        hits, claimed = hits + common, claimed + sum(found.values())
        expected += sum(truth.values())
        macro.append(2 * common / max(1, sum(truth.values()) + sum(found.values())))
    return {
        "macro_f1": round(sum(macro) / len(macro), 4),
        "micro_precision": round(hits / max(1, claimed), 4),
        "micro_recall": round(hits / max(1, expected), 4),
        "micro_f1": round(2 * hits / max(1, claimed + expected), 4),
    }


def _table(suite: str, rows: dict[str, dict[str, Any]]) -> str:
    """The numbers as a Markdown table, the best quality first."""
    columns = list(next(iter(rows.values()), {}))
    key = "micro_f1" if suite == "tables" else "word_f1"
    lines = [f"| {suite} | " + " | ".join(columns) + " |", "|---|" + "--:|" * len(columns)]
    for name, row in sorted(rows.items(), key=lambda item: -item[1][key]):
        lines.append(f"| {name} | " + " | ".join(str(row[column]) for column in columns) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
