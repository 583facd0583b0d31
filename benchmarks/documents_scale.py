"""What more cores and huge files do to reading: two cores against one, and memory of 5,000 pages.

    python benchmarks/documents_scale.py [--corpus FOLDER] [--repeats 3] [--json]

`parse_corpus` reads a folder (one of its own making unless `--corpus` names another) with one
worker on one core and with two on two, in turn, each run in a process of its own. The best time of
each counts, the start of the workers and the writing of the Parquet files included. Then it reads
one file of 5,000 pages, and prints the largest memory that a worker was seen to have.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
_FILES, _PAGES, _HUGE_PAGES = 40, 150, 5_000
_LINES, _WORDS = 48, 11
_SYLLABLES = ("ba", "den", "fi", "gor", "la", "mi", "nu", "pol", "ra", "sten", "tu", "ver")
_READ = """
import json, sys, threading, time
import psutil
from doctune.documents import ParseOptions, parse_corpus

peak, done = 0, threading.Event()

def watch():
    global peak
    while not done.wait(0.02):
        for child in psutil.Process().children():
            try:
                peak = max(peak, child.memory_info().rss)
            except psutil.NoSuchProcess:
                pass

if __name__ == "__main__":
    folder, out, workers = sys.argv[1:]
    threading.Thread(target=watch, daemon=True).start()
    start = time.perf_counter()
    summary = parse_corpus(folder, out, ParseOptions(workers=int(workers), ocr="off"))
    seconds = time.perf_counter() - start
    done.set()
    print(json.dumps({"seconds": seconds, "pages": summary.pages, "worker_peak_mb": peak / 2**20}))
"""


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.corpus or _write_corpus(Path(scratch, "corpus"), _FILES, _PAGES)
        one, two = _best_of(folder, Path(scratch), arguments.repeats)
        huge = _write_corpus(Path(scratch, "huge"), 1, _HUGE_PAGES)
        memory = _read(huge, Path(scratch, "huge-out"), cores=2)
    report = {
        "pages": one["pages"],
        "one_core_seconds": round(one["seconds"], 2),
        "two_cores_seconds": round(two["seconds"], 2),
        "two_cores_times_one": round(one["seconds"] / two["seconds"], 2),
        "one_core_pages_per_second": round(one["pages"] / one["seconds"], 1),
        "two_cores_pages_per_second": round(two["pages"] / two["seconds"], 1),
        "huge_file_pages": memory["pages"],
        "huge_file_seconds": round(memory["seconds"], 2),
        "huge_file_worker_peak_mb": round(memory["worker_peak_mb"], 1),
    }
    for name, value in report.items():
        print(f"{name:28} {value}")
    if arguments.json:
        print(json.dumps(report))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--corpus", type=Path, help="folder of PDFs; made for the run if not given")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each; the best counts")
    parser.add_argument("--json", action="store_true", help="print the numbers as one last line")
    return parser.parse_args()


def _best_of(folder: Path, scratch: Path, repeats: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fastest runs on one core and on two, which take turns."""
    runs: dict[int, list[dict[str, Any]]] = {1: [], 2: []}
    for repeat in range(repeats):
        for cores, done in runs.items():
            done.append(_read(folder, scratch / f"out-{cores}-{repeat}", cores))
    one, two = (min(done, key=lambda run: run["seconds"]) for done in runs.values())
    return one, two


def _read(folder: Path, out: Path, cores: int) -> dict[str, Any]:
    available = sorted(os.sched_getaffinity(0))
    if len(available) < cores:
        raise SystemExit(f"This machine has {len(available)} core: {cores} are needed.")
    cpus = ",".join(map(str, available[-cores:]))
    command = [*("taskset", "--cpu-list", cpus), *(sys.executable, "-c", _READ)]
    done = subprocess.run(
        [*command, str(folder), str(out), str(cores)],
        stdout=subprocess.PIPE,
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        timeout=3600,
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _write_corpus(folder: Path, files: int, pages: int) -> Path:
    """Writes PDFs of prose of which no two pages are the same."""
    from reportlab.lib.pagesizes import A4
    from reportlab.pdfgen.canvas import Canvas

    folder.mkdir()
    chance = random.Random(7)  # noqa: S311
    for file in range(files):
        canvas = Canvas(str(folder / f"{file}.pdf"), pagesize=A4, pageCompression=1)
        for page in range(pages):
            canvas.setFont("Helvetica-Bold", 16)
            canvas.drawString(72, A4[1] - 72, f"{page + 1} {_word(chance).title()}")
            lines = canvas.beginText(72, A4[1] - 100)
            lines.setFont("Helvetica", 10)
            for _ in range(_LINES):
                lines.textLine(" ".join(_word(chance) for _ in range(_WORDS)))
            canvas.drawText(lines)
            canvas.showPage()
        canvas.save()
    return folder


def _word(chance: random.Random) -> str:
    return "".join(chance.choices(_SYLLABLES, k=chance.randint(1, 4)))


if __name__ == "__main__":
    main()
