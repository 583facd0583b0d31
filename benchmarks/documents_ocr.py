"""Which OCR engine reads scans better: RapidOCR and Tesseract on the same pictures of pages.

    python benchmarks/documents_ocr.py [--pages FOLDER] [--most PAGES] [--json]

Scans are made from pages of samples/pdfs whose text is known: clean at 200 dpi, with noise, askew,
at 100 dpi, and all of these at once. `--pages` names a folder of PDFs with `expected.jsonl` (see
`documents_facts.py`): its pages are turned into pictures without a text layer, and facts are
checked. Both engines run through doctune's parser, one thread each; the seconds are of processor
time, Tesseract's process included, RapidOCR's models loaded before.
"""

import argparse
import json
import random
import resource
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import pypdfium2
from PIL import Image, ImageChops, ImageFilter
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import documents_scores as scores
from benchmarks.documents_facts import Fact, holds, read_facts
from doctune.documents import Document, ParseOptions, ocr, parse_pdf
from doctune.documents.model import render_markdown

ROOT = Path(__file__).resolve().parents[1]
# Pages of prose, lists and tables.
_SAMPLES = {
    "nimbrel-7-owners-manual.pdf": 2,
    "service-handbook.pdf": 3,
    "tollen-reference.pdf": 1,
    "price-table-2031.pdf": 0,
}
_NOISE, _BLUR = 60, 0.6
_SKEW_DEGREES = 2.5
_SEED = 7


@dataclass(frozen=True)
class Condition:
    """How a page is scanned.

    Attributes:
        noise: Whether the picture is blurred and has noise and specks.
        skew: In degrees.
    """

    name: str
    dpi: int = 200
    noise: bool = False
    skew: float = 0.0


CONDITIONS = (
    Condition("clean"),
    Condition("noise", noise=True),
    Condition("skew", skew=_SKEW_DEGREES),
    Condition("100 dpi", dpi=100),
    Condition("all three", dpi=110, noise=True, skew=-_SKEW_DEGREES),
)


@dataclass
class Score:
    """What an engine found under one condition."""

    words: list[float] = field(default_factory=list)
    characters: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def row(self) -> str:
        means = [sum(some) / max(1, len(some)) for some in (self.words, self.characters)]
        return f"{means[0]:.4f} | {means[1]:.4f} | {sum(self.seconds) / len(self.seconds):.2f}"


def main() -> None:
    """Prints a table by condition and the facts that hold."""
    arguments = _arguments()
    engines = [name for name, engine in ocr.ENGINES.items() if engine.is_installed()]
    found: dict[str, dict[str, Score]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for condition, path, truth in _scans(Path(scratch), arguments.most):
            for engine in engines:
                if not found:
                    _read(path, engine)  # loads the models
                score = found.setdefault(condition.name, {}).setdefault(engine, Score())
                _add(score, path, truth, engine)
        print("| scans | engine | word F1 | characters in order | CPU s a page |")
        print("|---|---|--:|--:|--:|")
        for name, by_engine in found.items():
            for engine, score in by_engine.items():
                print(f"| {name} | {engine} | {score.row()} |", flush=True)
        if arguments.pages:
            facts = _check_facts(arguments.pages, engines, Path(scratch))
            print(json.dumps(facts))
    if arguments.json:
        print(json.dumps({n: {e: s.row() for e, s in by.items()} for n, by in found.items()}))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pages", type=Path, help="PDFs with their expected.jsonl")
    parser.add_argument("--most", type=int, default=len(_SAMPLES), help="sample pages")
    parser.add_argument("--json", action="store_true", help="print the numbers as one last line")
    return parser.parse_args()


def _scans(scratch: Path, most: int) -> Iterator[tuple[Condition, Path, str]]:
    """Yields scans with the text of their page."""
    for condition in CONDITIONS:
        for name, index in list(_SAMPLES.items())[:most]:
            source = ROOT / "samples/pdfs" / name
            path = scratch / f"{condition.name}-{name}"
            with pypdfium2.PdfDocument(source) as whole, pypdfium2.PdfDocument.new() as alone:
                alone.import_pages(whole, [index])  # without what the next page continues
                alone.save(path)
            truth = "\n".join(block.text for block in parse_pdf(path).blocks)
            write_scan(source, index, path, condition)
            yield condition, path, truth


def write_scan(source: Path, index: int, path: Path, condition: Condition) -> None:
    """Writes a page of a PDF as a PDF of one JPEG."""
    with pypdfium2.PdfDocument(source) as document:
        size = document[index].get_size()
        picture = document[index].render(scale=condition.dpi / 72).to_pil().convert("L")
    if condition.skew:
        picture = picture.rotate(condition.skew, Image.Resampling.BICUBIC, fillcolor=255)
    if condition.noise:
        picture = _noisy(picture)
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=60)
    canvas = Canvas(str(path), pagesize=size)
    canvas.drawImage(ImageReader(buffer), 0, 0, *size)
    canvas.save()


def _noisy(picture: Image.Image) -> Image.Image:
    chance = random.Random(_SEED)  # noqa: S311
    noise = Image.frombytes("L", picture.size, chance.randbytes(picture.width * picture.height))
    noise = noise.point(lambda level: level * _NOISE // 255)
    noisy = ImageChops.subtract(picture.filter(ImageFilter.GaussianBlur(_BLUR)), noise)
    for _ in range(picture.width * picture.height // 1000):
        spot = chance.randrange(picture.width), chance.randrange(picture.height)
        noisy.putpixel(spot, chance.choice((30, 120, 255)))
    return noisy


def _add(score: Score, path: Path, truth: str, engine: str) -> None:
    start = _cpu_seconds()
    document = _read(path, engine)
    score.seconds.append(_cpu_seconds() - start)
    text = "\n".join(block.text for block in document.blocks)
    score.words.append(scores.word_f1(scores.words(truth), scores.words(text)))
    score.characters.append(scores.character_similarity(truth, text))


def _read(path: Path, engine: str) -> Document:
    return parse_pdf(path, ParseOptions.model_validate({"ocr": engine}))


def _cpu_seconds() -> float:
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def _check_facts(folder: Path, engines: Sequence[str], scratch: Path) -> dict[str, str]:
    """Returns how many facts hold on the pages as pictures."""
    facts = [fact for fact in read_facts(folder) if fact.kind != "math"]
    held = dict.fromkeys(engines, 0)
    by_page: dict[tuple[str, int], list[Fact]] = {}
    for fact in facts:
        by_page.setdefault((fact.pdf, fact.page), []).append(fact)
    for (name, number), of_page in by_page.items():
        path = scratch / f"fact-{number}-{name}"
        write_scan(folder / name, number - 1, path, Condition("clean"))
        for engine in engines:
            markdown = render_markdown(_read(path, engine).blocks)
            held[engine] += sum(holds(fact, markdown) for fact in of_page)
    return {engine: f"{count}/{len(facts)}" for engine, count in held.items()}


if __name__ == "__main__":
    main()
