"""Build the sample PDFs from the texts in `samples/text/`.

    python samples/build.py [--out samples/pdfs]

Each Markdown text becomes one PDF; a scanned page, a locked file and a damaged file are added. The
same inputs give the same bytes: dates, document ids and noise are fixed. Only the files that are
compressed (`compress: true`, and the scan) also depend on the installed zlib and FreeType; their
content does not. Takes about five seconds on one core.
"""

import argparse
import random
import sys
from pathlib import Path

from house_style import HouseDocument
from manuscript import Manuscript, read_manuscript
from scanned_page import write_scanned_page

HERE = Path(__file__).resolve().parent
TEXTS = HERE / "text"
SCAN_TEXT = TEXTS / "inspection-note-118.txt"
SCAN_NAME = "inspection-note-118-scan.pdf"
DAMAGED_NAME = "yield-log-damaged.pdf"
DAMAGE_SEED = 27


def build_corpus(out_dir: Path) -> list[Path]:
    """Write every sample PDF to `out_dir` and return their paths, sorted by name.

    Raises:
        ValueError: A manuscript holds something that the house style cannot set.
        OSError: A text cannot be read or a PDF cannot be written.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    manuscripts = [read_manuscript(path) for path in sorted(TEXTS.glob("*.md"))]
    written = [_write_pdf(manuscript, out_dir) for manuscript in manuscripts]
    written.append(write_scanned_page(SCAN_TEXT, out_dir / SCAN_NAME))
    written.append(_write_damaged(out_dir / DAMAGED_NAME))
    return sorted(written)


def _write_pdf(manuscript: Manuscript, out_dir: Path) -> Path:
    path = out_dir / f"{manuscript.name}.pdf"
    HouseDocument(manuscript, path).write()
    return path


def _write_damaged(path: Path) -> Path:
    """Write a file that starts as a PDF and goes on as noise, as after a failed disk.

    A merely truncated file will not do: readers rebuild its cross-reference table and open it.
    """
    # The noise is a fixture and guards nothing.
    noise = random.Random(DAMAGE_SEED).randbytes(6000)  # noqa: S311
    path.write_bytes(b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R\n" + noise)
    return path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=HERE / "pdfs", help="folder for the PDFs")
    arguments = parser.parse_args()
    for path in build_corpus(arguments.out):
        print(f"{path.stat().st_size:>8,} bytes  {path.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
