"""Headings read from PDFs, against the sources that the PDFs were compiled from.

    python benchmarks/documents_headings.py [--json]

The truth are the Markdown headings of `samples/text/*.md`; the PDFs are in `samples/pdfs`. One
is right if its text is (numbers before it do not count), and its level is if it stands at the depth
that it has in the source. The title and subtitle on the cover count neither way.
"""

import argparse
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

_HEADING = re.compile(r"^(#{1,6}) (.+)$", re.MULTILINE)
_CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_COVER = re.compile(r"^(?:sub)?title: (.+)$", re.MULTILINE)
_NUMBER = re.compile(r"^(?:[A-Z]|\d+)(?:\.\d+)*\.?\s+")


def true_headings(source: Path) -> list[tuple[str, int]]:
    """Returns the plain text and level of each heading of a Markdown file."""
    text = _CODE.sub("", source.read_text("utf-8"))
    return [(plain(title), len(marks)) for marks, title in _HEADING.findall(text)]


def found_headings(pdf: Path) -> list[tuple[str, int]]:
    """Returns the plain text and level of each heading that is read from a PDF."""
    from doctune.documents import parse_pdf

    blocks = parse_pdf(pdf).blocks
    return [(plain(b.text), b.level or 0) for b in blocks if b.kind == "heading"]


def plain(text: str) -> str:
    return re.sub(r"\W+", "", _NUMBER.sub("", text)).lower()


def score(truth: list[tuple[str, int]], found: list[tuple[str, int]]) -> dict[str, int]:
    """Counts headings found, claimed and true, and those at their level."""
    levels = dict(truth)
    hits = [(text, level) for text, level in dict(found).items() if text in levels]
    return {
        "hits": len(hits),
        "claimed": len(found),
        "true": len(truth),
        "levels": sum(1 for text, level in hits if levels[text] == level),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print the numbers as one last line")
    arguments = parser.parse_args()
    total = {"hits": 0, "claimed": 0, "true": 0, "levels": 0}
    for source in sorted((ROOT / "samples" / "text").glob("*.md")):
        pdf = ROOT / "samples" / "pdfs" / f"{source.stem}.pdf"
        try:
            cover = {plain(title) for title in _COVER.findall(source.read_text("utf-8"))}
            found = [heading for heading in found_headings(pdf) if heading[0] not in cover]
            counts = score(true_headings(source), found)
        except Exception as error:  # encrypted and damaged samples
            print(f"{source.stem}: {error}")
            continue
        print(source.stem, counts)
        total = {key: total[key] + counts[key] for key in total}
    report = {
        "precision": round(total["hits"] / total["claimed"], 4),
        "recall": round(total["hits"] / total["true"], 4),
        "levels": round(total["levels"] / total["hits"], 4),
    }
    print(report)
    if arguments.json:
        print(json.dumps(report))


if __name__ == "__main__":
    main()
