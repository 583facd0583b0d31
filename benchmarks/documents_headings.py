"""Headings read from PDFs, against the sources that the PDFs were compiled from.

    python benchmarks/documents_headings.py [--json]

The truth are the Markdown headings of `samples/text/*.md`, whose PDFs are in `samples/pdfs`, and
those of the documents that `documents_headings_made.py` sets in twelve styles. A heading is right
if its text is (numbers before it count in the latter only), and its level is if it stands at the
depth that it has in the source. The title and subtitle on the cover, and "Contents", count neither
way.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.documents_headings_made import make_documents  # noqa: E402

_HEADING = re.compile(r"^(#{1,6}) (.+)$", re.MULTILINE)
_CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_COVER = re.compile(r"^(?:sub)?title: (.+)$", re.MULTILINE)
_CONTENTS = "contents"  # a heading of the PDF that no source has
_NUMBER = re.compile(r"^(?:\d+(?:\.\d+)*|[A-Z](?:\.\d+)+)\.?\s+")


def true_headings(source: Path) -> list[tuple[str, int]]:
    """Returns the plain text and level of each heading of a Markdown file."""
    text = _CODE.sub("", source.read_text("utf-8"))
    return [(plain(title), len(marks)) for marks, title in _HEADING.findall(text)]


def found_headings(pdf: Path, normal: Callable[[str], str]) -> list[tuple[str, int]]:
    """Returns the text, made `normal`, and level of each heading that is read from a PDF."""
    from doctune.documents import parse_pdf

    blocks = parse_pdf(pdf).blocks
    return [(normal(b.text), b.level or 0) for b in blocks if b.kind == "heading"]


def plain(text: str) -> str:
    """Returns a heading without its number, spaces and punctuation: what a source says of it."""
    return whole(_NUMBER.sub("", text))


def whole(text: str) -> str:
    """Returns a heading with its number, without spaces and punctuation."""
    return re.sub(r"\W+", "", text).lower()


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


def score_samples() -> Iterator[tuple[str, dict[str, int]]]:
    """Scores the sample PDFs that can be read."""
    for source in sorted((ROOT / "samples" / "text").glob("*.md")):
        pdf = ROOT / "samples" / "pdfs" / f"{source.stem}.pdf"
        try:
            cover = {plain(title) for title in _COVER.findall(source.read_text("utf-8"))}
            cover.add(_CONTENTS)
            found = [heading for heading in found_headings(pdf, plain) if heading[0] not in cover]
        except Exception as error:  # encrypted and damaged samples
            print(f"{source.stem}: {error}")
            continue
        yield source.stem, score(true_headings(source), found)


def score_made() -> Iterator[tuple[str, dict[str, int]]]:
    """Scores the documents that are made for this."""
    with TemporaryDirectory() as folder:
        for name, pdf, headings, title in make_documents(Path(folder)):
            truth = [(whole(text), level) for text, level in headings]
            found = [
                heading for heading in found_headings(pdf, whole) if heading[0] != whole(title)
            ]
            yield name, score(truth, found)


def rates(counts: Sequence[dict[str, int]]) -> dict[str, float]:
    """Precision and recall of texts, and the share of those found that are at their level."""
    total = {
        key: sum(each[key] for each in counts) for key in ("hits", "claimed", "true", "levels")
    }
    return {
        "precision": round(total["hits"] / max(1, total["claimed"]), 4),
        "recall": round(total["hits"] / max(1, total["true"]), 4),
        "levels": round(total["levels"] / max(1, total["hits"]), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print the numbers as one last line")
    arguments = parser.parse_args()
    report = {}
    for kind, scored in (("samples", score_samples()), ("made", score_made())):
        counts = []
        for name, each in scored:
            print(f"{name:32}", *(f"{key} {value:.3f}" for key, value in rates([each]).items()))
            counts.append(each)
        report[kind] = rates(counts)
        print(f"{kind:32}", report[kind])
    if arguments.json:
        print(json.dumps(report))


if __name__ == "__main__":
    main()
