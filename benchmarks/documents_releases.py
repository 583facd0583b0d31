"""How fast PDFs are parsed, against an older checkout of doctune, in the same run.

    python benchmarks/documents_releases.py OLD_CHECKOUT FOLDER... [--repeats 5] [--json]

OLD_CHECKOUT is a folder with an older `doctune/`, its `_native.c` compiled there too. The two codes
read the same files in turns, in processes of their own, and the least processor time of each file
counts, so that a busy machine harms both alike. Without OCR.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_TIMEOUT_SECONDS = 1200
_READ = """
import json, sys, time
from pathlib import Path
from doctune.documents import ParseOptions, native, parse_pdf
assert native.module, "not compiled"
options = ParseOptions(ocr="off")
parse_pdf(sys.argv[1], options)
pages, taken = 0, {}
for name in sys.argv[1:]:
    start = time.process_time()
    try:
        pages += len(parse_pdf(Path(name), options).pages)
    except Exception as error:
        print(name, error, file=sys.stderr)
    taken[name] = time.process_time() - start
print(json.dumps([pages, taken]))
"""


def main() -> None:
    """Prints the pages by second of processor time of both, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("old", type=Path, help="an older checkout")
    parser.add_argument("folders", nargs="+", type=Path, help="folders of PDFs")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print the numbers as one last line")
    arguments = parser.parse_args()
    report = {}
    print("| folder | pages | old, pages / CPU s | new, pages / CPU s | new / old |")
    print("|---|--:|--:|--:|--:|")
    for folder in arguments.folders:
        files = sorted(map(str, folder.glob("*.pdf")))
        best: dict[Path, dict[str, float]] = {arguments.old.resolve(): {}, ROOT: {}}
        for _ in range(arguments.repeats):
            for checkout, least in best.items():
                pages, taken = _read(checkout, files)
                for name, seconds in taken.items():
                    least[name] = min(seconds, least.get(name, seconds))
        old, new = (pages / sum(least.values()) for least in best.values())
        report[folder.name] = {"old": old, "new": new, "ratio": new / old}
        print(f"| {folder.name} | {pages} | {old:.0f} | {new:.0f} | {new / old:.2f} |", flush=True)
    if arguments.json:
        print(json.dumps(report))


def _read(checkout: Path, files: list[str]) -> tuple[int, dict[str, float]]:
    done = subprocess.run(
        [sys.executable, "-c", _READ, *files],
        env=os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"},
        cwd=checkout,
        stdout=subprocess.PIPE,
        check=True,
        timeout=_TIMEOUT_SECONDS,
    )
    pages, taken = json.loads(done.stdout.splitlines()[-1])
    return pages, taken


if __name__ == "__main__":
    main()
