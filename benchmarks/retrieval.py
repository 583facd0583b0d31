"""How long a search takes in a large index: 100,000 passages, made from a small index.

    python benchmarks/retrieval.py --index .doctune/index [--passages 100000] [--json]

Each passage is made from one of the small index: words are dropped and others put in, and the
vectors are mixed with another unit's and with noise, so that no two are alike. The questions are
those of the samples. Each is searched for once, so that no answer comes from a cache. `same_5` is
the share of questions whose first five passages are those that a full sort by all vectors gives.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from doctune.files import write_json
from doctune.inference.sentence_encoder import Floats
from doctune.knowledge.index import KnowledgeIndex
from doctune.knowledge.lexical import tokens, write_bm25
from doctune.knowledge.store import (
    ALIASES,
    BM25_PASSAGES,
    BM25_UNITS,
    INDEX,
    VECTORS,
    read_record,
    unit_row,
    write_tables,
)
from doctune.knowledge.vectors import context_text, passage_text
from doctune.knowledge.vocabulary import write_vocabulary
from doctune.publishing import write_manifest

ROOT = Path(__file__).parents[1]
_SHOWN = 5
_DROPPED, _FOREIGN = 0.2, 5  # share of words that are dropped, and how many are put in
_NOISE = 0.6  # length of the noise beside a vector of length 1


def main() -> None:
    """Prints the times; with --json one line of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--index", type=Path, required=True, help="the index to make it from")
    parser.add_argument("--passages", type=int, default=100_000)
    parser.add_argument(
        "--folder", type=Path, help="where to keep the large index for the next run"
    )
    parser.add_argument("--questions", type=int, default=40, help="how many are asked")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    given = parser.parse_args()
    lines = (ROOT / "samples/questions.jsonl").read_text(encoding="utf-8").splitlines()
    questions = [json.loads(line)["question"] for line in lines if line.strip()][: given.questions]
    with tempfile.TemporaryDirectory() as folder:
        large = given.folder or Path(folder)
        if not (large / INDEX).is_file():
            large.mkdir(parents=True, exist_ok=True)
            enlarge(KnowledgeIndex(given.index), large, given.passages)
        figures = measure(large, questions)
    if given.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:20} {value}")


def enlarge(small: KnowledgeIndex, folder: Path, wanted: int) -> None:
    """Writes an index of so many passages, made from those of a small one."""
    random = np.random.default_rng(0)
    vectors = np.load(small.folder / VECTORS).astype(np.float32)
    words = sorted({word for text in small.texts for word in tokens(text)})
    passages: list[dict[str, Any]] = []
    units: list[dict[str, Any]] = []
    passage_words: list[list[str]] = []
    unit_words: list[list[str]] = []
    made: list[Floats] = []
    known = [small.passage(number) for number in range(len(small.ids))]
    own = [tokens(passage_text(small.titles[at], one)) for at, one in enumerate(known)]
    each = [
        [tokens(context_text(small.titles[at], one, unit)) for unit in one.units]
        for at, one in enumerate(known)
    ]
    for number in range(wanted):
        at = int(random.integers(len(known)))
        one = known[at]
        passages.append(_passage_row(small, at, number))
        passage_words.append(_varied(own[at], words, random))
        first = small.first_unit(at)
        for place, unit in enumerate(one.units):
            units.append(unit_row(number, unit))
            unit_words.append(_varied(each[at][place], words, random))
        made.append(_varied_vectors(vectors, first, len(one.units), random))
    write_tables(folder, passages, units)
    np.save(folder / VECTORS, np.concatenate(made).astype(np.float16))
    write_bm25(folder / BM25_UNITS, unit_words)
    write_bm25(folder / BM25_PASSAGES, passage_words)
    write_vocabulary(folder, [(text, "en") for text in small.texts], small.encoder)
    (folder / ALIASES).write_bytes((small.folder / ALIASES).read_bytes())
    record = read_record(small.folder)
    grown = record.model_copy(update={"passages": len(passages), "units": len(units)})
    write_json(folder / INDEX, grown.model_dump(mode="json"))
    write_manifest(folder)


def _varied(own: list[str], others: list[str], random: np.random.Generator) -> list[str]:
    kept = [
        word for word, drop in zip(own, random.random(len(own)), strict=True) if drop > _DROPPED
    ]
    return kept + [others[at] for at in random.integers(len(others), size=_FOREIGN)]


def _varied_vectors(vectors: Floats, first: int, count: int, random: np.random.Generator) -> Floats:
    noise = random.standard_normal((count, vectors.shape[1]), dtype=np.float32)
    noise *= _NOISE / np.linalg.norm(noise, axis=1, keepdims=True)
    mixed = vectors[first : first + count] + 0.5 * vectors[random.integers(len(vectors))]
    return mixed + noise


def _passage_row(small: KnowledgeIndex, at: int, number: int) -> dict[str, Any]:
    one = small.passage(at)
    return {
        "id": f"made-{number}",
        "doc_id": f"{number // 50:064x}",
        "source": f"{number // 50}.pdf",
        "title": small.titles[at],
        "pages": one.pages,
        "boxes": one.boxes,
        "heading": one.heading,
        "text": one.text,
        "language": "en",
        "groups": ["everybody" if number % 10 else "partners"],
        "digest": "",
    }


def measure(folder: Path, questions: list[str]) -> dict[str, Any]:
    """Returns the times of opening the index and of searching it, in milliseconds."""
    started, used = time.perf_counter(), time.process_time()
    index = KnowledgeIndex(folder)
    index.warm_up()
    opened, opened_cpu = time.perf_counter() - started, time.process_time() - used
    index.search("What is this about?", _SHOWN)
    times, cpu, same = [], [], []
    for question in questions:
        started, used = time.perf_counter(), time.process_time()
        found = index.search(question, _SHOWN)
        times.append(1000 * (time.perf_counter() - started))
        cpu.append(1000 * (time.process_time() - used))
        same.append([one.passage for one in found] == _sorted_whole(index, question))
    return {
        "passages": index.record.passages,
        "units": index.record.units,
        "retrieval_ms": round(statistics.median(times), 1),
        "retrieval_ms_p95": round(sorted(times)[int(0.95 * len(times))], 1),
        "retrieval_cpu_ms": round(statistics.median(cpu), 1),
        "same_5": round(sum(same) / len(same), 3),
        "load_ms": round(1000 * opened),
        "load_cpu_ms": round(1000 * opened_cpu),
        "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
        "load_average": round(os.getloadavg()[0], 1),
    }


def _sorted_whole(index: KnowledgeIndex, question: str) -> list[int]:
    """Returns the first passages by every unit's score."""
    scores, _ = index.scores(question)
    order = np.argsort(-scores, kind="stable")[: 12 * _SHOWN]
    return list(dict.fromkeys(int(index.owners[at]) for at in order))[:_SHOWN]


if __name__ == "__main__":
    main()
