"""How often the index answers right, from questions in users' words with what an answer must hold.

    python benchmarks/knowledge.py --index .doctune/index --questions questions.jsonl
    python benchmarks/knowledge.py --json    # the three handbooks in benchmarks/questions/corpus
    python benchmarks/knowledge.py --corpus benchmarks/questions/second_corpus \
        --questions benchmarks/questions/second_development.jsonl

A line of questions: `question`, `kind`, `all` (patterns that a right answer holds), and where they
apply `none` (patterns that it must not hold), `side` (yes or no) and `refuse` (nothing answers).
Without an index, Markdown files are read as documents: what is measured is finding and quoting, not
reading PDFs.
"""

import argparse
import json
import re
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from doctune.digests import digest_value
from doctune.knowledge import Answer, Answerer, build_index

QUESTIONS = Path(__file__).parent / "questions"


def main() -> None:
    """Prints how many answers are right, by kind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--index", type=Path, help="an index; else the handbooks are indexed")
    parser.add_argument("--questions", type=Path, default=QUESTIONS / "own_development.jsonl")
    parser.add_argument("--corpus", type=Path, default=QUESTIONS / "corpus", help="Markdown files")
    parser.add_argument("--json", action="store_true", help="print one last line of JSON")
    parser.add_argument("--wrong", action="store_true", help="show each wrong answer")
    options = parser.parse_args()
    lines = options.questions.read_text(encoding="utf-8").splitlines()
    questions = [json.loads(line) for line in lines if line.strip()]
    with tempfile.TemporaryDirectory() as folder:
        index = options.index or _index_of(options.corpus, Path(folder))
        figures = measure(Answerer.open(index), questions, show=options.wrong)
    if options.json:
        print(json.dumps(figures))


def measure(answerer: Answerer, questions: list[dict[str, Any]], *, show: bool) -> dict[str, int]:
    """Asks all questions, prints a line a kind, and returns the sums."""
    kinds: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    sums: dict[str, int] = defaultdict(int)
    for question in questions:
        answer = answerer.answer(question["question"])
        right = is_right(question, answer)
        wanted = not question.get("refuse")
        found = wanted and _found(answerer, question)
        row = kinds[question["kind"]]
        row[0], row[1], row[2] = row[0] + right, row[1] + 1, row[2] + found
        sums["answerable"] += wanted
        sums["right"] += wanted and right
        sums["passage_among_3"] += found
        sums["refused_wrong"] += wanted and answer.refused
        sums["unanswerable"] += not wanted
        sums["refused_right"] += not wanted and answer.refused
        if show and not right:
            print(f"  {question['question']}\n    {answer.answer[:200]!r}")
    for kind, (right, asked, found) in sorted(kinds.items()):
        print(f"{kind:14} {right:3} of {asked:3} right, passage among three {found:3}")
    return dict(sums)


def is_right(question: dict[str, Any], answer: Answer) -> bool:
    """Whether an answer holds what it must and nothing that it must not."""
    if question.get("refuse") or answer.refused:
        return answer.refused and bool(question.get("refuse"))
    text = answer.answer
    side = question.get("side")
    if side and not re.match(rf"\W*{side}\b", text, re.IGNORECASE):
        return False
    if any(re.search(pattern, text) for pattern in question.get("none", [])):
        return False
    return all(re.search(pattern, text) for pattern in question.get("all", []))


def _found(answerer: Answerer, question: dict[str, Any]) -> bool:
    """Whether one of the first three passages holds all of the answer."""
    patterns = question.get("all", [])
    hits = answerer.search(question["question"], 3) if patterns else []
    return any(all(re.search(one, hit.text) for one in patterns) for hit in hits)


def _index_of(markdown: Path, folder: Path) -> Path:
    documents, index = folder / "documents", folder / "index"
    documents.mkdir()
    blocks, files = [], []
    for path in sorted(markdown.glob("*.md")):
        own = _blocks(path)
        blocks += own
        files.append(
            {
                "doc_id": own[0]["doc_id"], "source": own[0]["source"], "pages": own[-1]["page"],
                "chars": path.stat().st_size, "language": "en", "status": "parsed", "error": None,
                "title": path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# "),
            }
        )  # fmt: skip
    parquet.write_table(pa.Table.from_pylist(blocks), documents / "blocks.parquet")
    parquet.write_table(pa.Table.from_pylist(files), documents / "documents.parquet")
    build_index(documents, index)
    return index


def _blocks(path: Path) -> list[dict[str, Any]]:
    """Returns the blocks of a Markdown file: a page a section, as `parse --parquet` writes them."""
    text = path.read_text(encoding="utf-8")
    found: list[dict[str, Any]] = []
    page = 1
    for chunk in re.split(r"\n(?=\|)(?<!\|\n)|(?<=\|)\n(?!\|)|\n(?!\|)", text)[1:]:
        if not chunk.strip():
            continue
        page += chunk.startswith("## ")
        kind = "heading" if chunk.startswith("## ") else "paragraph"
        kind = "list" if re.match(r"\d+\. ", chunk) else kind
        rows = None
        if chunk.startswith("|"):
            kind, rows = (
                "table",
                [
                    [cell.strip() for cell in line.strip("|").split("|")]
                    for line in chunk.splitlines()
                ],
            )
        found.append(
            {
                "doc_id": digest_value(text), "source": f"{path.stem}.pdf", "page": page,
                "block": len(found), "kind": kind, "text": chunk.removeprefix("## "),
                "level": 1 if kind in ("heading", "list") else None, "rows": rows,
                "bbox": [0.0, float(len(found)), 1.0, len(found) + 1.0], "engine": "text",
                "header_rows": 1 if rows else None,
            }
        )  # fmt: skip
    return found


if __name__ == "__main__":
    main()
