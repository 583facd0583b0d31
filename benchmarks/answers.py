"""How many questions each way of answering gets right, all in one run.

    python benchmarks/answers.py                       # the 120 questions on the sample corpus
    python benchmarks/answers.py --questions FILE --pdfs FOLDER
    python benchmarks/answers.py --json                # and one last line of JSON
    python benchmarks/answers.py --most 24             # as many of them, drawn by what they expect
    python benchmarks/answers.py --work FOLDER         # keep index and model, and take them again

Quotation alone; the base model from memory and with the passages found; the tuned model likewise;
what the product does by its evaluation's choice; and a plain LangChain chain on the same base. The
index, the examples and the tuned model are made as `make run` makes them (the settings of the
environment `laptop`), unless --work holds them already; the questions are never learnt from. All
models answer greedily with the same limit on new tokens, and are marked by the same rules as in
`evaluate_model`. LangChain is installed on the first run into a virtual environment of its own.

Each stage says on standard error when it begins, and each model how many questions it has answered.
What takes time is four prompts a question, and one more for LangChain: `--most` bounds it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.answers_langchain import PACKAGES
from benchmarks.environments import python_with
from doctune.configuration.settings import Settings, load_settings
from doctune.evaluation.comparison import BASE, TUNED
from doctune.evaluation.quiz import FOUND, Item, Passage, Quiz, holds_fact, make_quiz
from doctune.evaluation.quiz_scores import Marked, mark_all, mark_answer
from doctune.feedback.analysis import wilson
from doctune.inference.base_model import resolve_base_model
from doctune.knowledge.prompt import SHOWN

ROOT = Path(__file__).resolve().parents[1]
_LANGCHAIN_SECONDS = 1800.0
_NAMES = {
    "quote": "quotation alone",
    "base_closed": "base, from memory",
    "base_grounded": "base, with passages",
    "tuned_closed": "tuned, from memory",
    "tuned_grounded": "tuned, with passages",
    "hybrid": "tuned where it is sure, else quotation",
    "product": "the product's own choice",
    "langchain": "LangChain, on the base",
}


@dataclass(frozen=True, kw_only=True)
class Product:
    """What is asked: folders of the index and of the two models' weights."""

    index: Path
    model: Path
    base: Path


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way of answering: its answers in the order of the questions, and what it found."""

    name: str
    marked: Sequence[Marked]
    found: Sequence[Sequence[Passage]] = ()  # passages a question; empty where none are sought


def main() -> None:
    """Runs the benchmark."""
    arguments = _arguments()
    settings = load_settings(ROOT / "config", "laptop")
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        work = arguments.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        if arguments.index and arguments.model:
            base = resolve_base_model(settings.training.base_model)
            made = Product(index=arguments.index, model=arguments.model / "model", base=base)
        else:
            made = make_product(arguments.pdfs, work, settings)
        ways, quiz, choice = ask_all(made, arguments, settings)
    print_tables(ways, quiz.items, choice)
    seconds = round(time.monotonic() - started)
    print(f"\n{len(quiz.items)} questions in {seconds} s.")
    for note in filter(None, (quiz.note, *quiz.caps)):
        print(f"Of the questions: {note}.")
    if arguments.json:
        rows = {way.name: measure(way, quiz.items) for way in ways}
        said = {"questions": len(quiz.items), "answering": choice, "seconds": seconds}
        print(json.dumps({**said, "ways": rows}))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--questions", type=Path, default=ROOT / "samples" / "questions.jsonl")
    parser.add_argument("--pdfs", type=Path, default=ROOT / "samples" / "pdfs")
    parser.add_argument("--work", type=Path, help="Folder for documents, index, examples, model.")
    parser.add_argument("--index", type=Path, help="An index to answer from, such as a run's.")
    parser.add_argument("--model", type=Path, help="What tune_model wrote, such as a run's.")
    parser.add_argument("--most", type=int, help="Most questions to ask; else all are asked.")
    parser.add_argument("--without-langchain", action="store_true")
    parser.add_argument("--json", action="store_true", help="Print one last line of JSON.")
    arguments = parser.parse_args()
    for path in (arguments.questions, arguments.pdfs):
        if not path.exists():
            parser.error(f"{path} does not exist")
    if bool(arguments.index) != bool(arguments.model):
        parser.error("--index and --model go together")
    if arguments.most is not None and arguments.most < 1:
        parser.error("--most must be at least 1")
    arguments.pdfs = arguments.pdfs.resolve()
    return arguments


def make_product(pdfs: Path, work: Path, settings: Settings) -> Product:
    """Makes what `make run` makes of a folder of PDFs; what is in `work` already is taken."""
    from doctune.dataset import prepare_dataset
    from doctune.documents.paths import parse_paths
    from doctune.inference.base_model import resolve_tokenizer
    from doctune.knowledge import build_index
    from doctune.training import add_grounded_examples, tune_model

    documents, index, model = (work / name for name in ("documents", "index", "model"))
    base = settings.training.base_model
    sides = {side: work / f"{side}.jsonl" for side in ("train", "validation", "test")}
    if not documents.is_dir():
        _begin("Parsing")
        parse_paths([pdfs], documents, "parquet", settings.documents)
    if not index.is_dir():
        _begin("Indexing")
        build_index(documents, index, settings.knowledge)
    if not model.is_dir():
        _begin("Tuning")
        prepare_dataset(
            documents,
            **{f"{side}_path": path for side, path in sides.items()},
            manifest_path=work / "manifest.json",
            card_path=work / "card.md",
            options=settings.dataset,
            tokenizer=resolve_tokenizer(base),
        )
        grounded = work / "grounded.jsonl"
        add_grounded_examples(
            sides["train"],
            index,
            grounded,
            settings.dataset,
            max_length=settings.training.max_length,
            tokenizer=resolve_tokenizer(base),
        )
        tune_model(grounded, sides["validation"], model, settings.training)
    return Product(index=index, model=model / "model", base=resolve_base_model(base))


def ask_all(
    product: Product, arguments: argparse.Namespace, settings: Settings
) -> tuple[list[Way], Quiz, str]:
    """Asks all questions in all ways; returns these, and which one the product takes."""
    from doctune.evaluation.grounding import IndexKnowledge

    knowledge = IndexKnowledge(product.index)
    _begin("Finding and quoting")
    quiz = make_quiz(
        [],
        questions_path=arguments.questions,
        knowledge=knowledge,
        max_questions=arguments.most,
    )
    if not quiz.items:
        raise SystemExit(f"{arguments.questions}: {quiz.note or 'no question'}.")
    # The true passage is no way of answering, and asking with it takes as long as with those found.
    quiz = replace(quiz, prompts=tuple(one for one in quiz.prompts if one.way != "oracle"))
    limit = settings.evaluation.max_new_tokens
    chains = [] if arguments.without_langchain else run_langchain(arguments.pdfs, quiz)
    said, extra = {}, [row["prompt"] for row in chains]
    for name, folder in ((BASE, product.base), (TUNED, product.model)):
        prompts = [list(prompt.messages) for prompt in quiz.prompts_for(name)]
        asked = extra if name == BASE else []
        prompts += [[{"role": "user", "content": text}] for text in asked]
        answers = _answers(folder, prompts, limit)
        said[name] = answers[: len(answers) - len(asked)]
        if asked:
            from_chain = answers[-len(asked) :]
    result = mark_all(quiz, said)
    found = [item.found for item in quiz.items]
    choice, chosen = result.product(TUNED)
    ways = [Way(name="quote", marked=result.quoted, found=found)]
    for model in (BASE, TUNED):
        closed, grounded = (result.marked[model][way] for way in ("closed", "grounded"))
        ways.append(Way(name=f"{model}_closed", marked=_all_of(closed)))
        ways.append(Way(name=f"{model}_grounded", marked=_all_of(grounded), found=found))
    ways.append(Way(name="hybrid", marked=result.by_way(TUNED)["hybrid"], found=found))
    ways.append(Way(name="product", marked=chosen, found=found))
    if chains:
        ways.append(_langchain_way(quiz.items, chains, from_chain))
    return ways, quiz, choice


def _begin(stage: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {stage}", file=sys.stderr, flush=True)


def _answers(model: Path, prompts: list[Any], limit: int) -> list[str]:
    from doctune.inference.generation import TextGenerator
    from doctune.inference.options import GenerationOptions
    from doctune.progress import progress

    _begin(f"Asking {model}")
    generator = TextGenerator.load(model)
    with progress(f"Asking {model.name}", len(prompts), "questions") as bar:
        completions = generator.generate(
            prompts,
            GenerationOptions(max_new_tokens=limit),
            on_answer=lambda *_: bar.advance(),
        )
    return [one.text for one in completions]


def _all_of(marked: Sequence[Marked | None]) -> list[Marked]:
    return [one for one in marked if one is not None]


def run_langchain(pdfs: Path, quiz: Quiz) -> list[dict[str, Any]]:
    """Returns the chain's prompt and passages for each question, from a process of its own."""
    _begin("Finding by LangChain")
    python = python_with(PACKAGES, beside_doctune=True)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "rows.json")
        questions = [item.question.question for item in quiz.items]
        job = {"pdfs": str(pdfs), "questions": questions, "most": FOUND, "out": str(out)}
        subprocess.run(
            [python, "-m", "benchmarks.answers_langchain"],
            input=json.dumps(job),
            cwd=ROOT,
            text=True,
            check=True,
            timeout=_LANGCHAIN_SECONDS,
        )
        return list(json.loads(out.read_text(encoding="utf-8")))


def _langchain_way(items: Sequence[Item], rows: Sequence[Any], texts: Sequence[str]) -> Way:
    found = [
        [
            Passage(file=one["file"], pages=(one["page"],), text=one["text"])
            for one in row["passages"]
        ]
        for row in rows
    ]
    marked = [
        mark_answer(item, text, passages[:SHOWN], cites=1)
        for item, text, passages in zip(items, texts, found, strict=True)
    ]
    return Way(name="langchain", marked=marked, found=found)


def measure(way: Way, items: Sequence[Item]) -> dict[str, Any]:
    """Returns a way's row: shares with Wilson's intervals at 95 %, and what is right by kind."""
    pairs = list(zip(items, way.marked, strict=True))
    known = [item.known_source for item in items]
    row: dict[str, Any] = {
        "right": _share([one.grade.right for _, one in pairs]),
        "page_right": _share([one.cited_right for _, one in pairs]),
        "refused_right": _share([m.grade.refused for i, m in pairs if _unanswerable(i)]),
        "refused_wrong": _share([m.grade.refused for i, m in pairs if not _unanswerable(i)]),
        "unsupported": _share([one.unsupported for _, one in pairs]),
    }
    for top in (3, 5):
        hits = [
            any(holds_fact(item, passage) for passage in found[:top])
            for item, found, source in zip(items, way.found, known, strict=False)
            if source
        ]
        row[f"recall_at_{top}"] = _share(hits)
    kinds: dict[str, list[bool]] = {}
    for item, one in pairs:
        kinds.setdefault(_kind(item), []).append(one.grade.right)
    row["by_kind"] = {kind: _share(rights) for kind, rights in sorted(kinds.items())}
    return row


def _unanswerable(item: Item) -> bool:
    return item.question.expects == "refusal"


def _kind(item: Item) -> str:
    """Returns the kind by which answers are counted: corrections and refusals are their own."""
    expects = item.question.expects
    return {"correction": "wrong premise", "refusal": "unanswerable"}.get(
        expects, item.question.kind or "other"
    )


def _share(values: Sequence[bool | None]) -> dict[str, Any] | None:
    known = [value for value in values if value is not None]
    if not known:
        return None
    low, high = wilson(sum(known), len(known))
    return {"count": sum(known), "of": len(known), "low": round(low, 4), "high": round(high, 4)}


_COLUMNS = ("right", "page_right", "refused_right", "refused_wrong", "recall_at_3", "recall_at_5")


def print_tables(ways: Sequence[Way], items: Sequence[Item], choice: str) -> None:
    """Prints a row a way, and the right answers by kind of question."""
    rows = {way.name: measure(way, items) for way in ways}
    print(f"| | {' | '.join(name.replace('_', ' ') for name in _COLUMNS)} |")
    print("|---" * (len(_COLUMNS) + 1) + "|")
    for name, row in rows.items():
        cells = [_cell(row[column], interval=column == "right") for column in _COLUMNS]
        title = f"{_NAMES[name]} ({choice})" if name == "product" else _NAMES[name]
        print(f"| {title} | {' | '.join(cells)} |")
    kinds = list(rows["quote"]["by_kind"])
    print(f"\n| right, by kind | {' | '.join(kinds)} |")
    print("|---" * (len(kinds) + 1) + "|")
    for name, row in rows.items():
        print(f"| {_NAMES[name]} | {' | '.join(_cell(row['by_kind'][kind]) for kind in kinds)} |")


def _cell(share: dict[str, Any] | None, *, interval: bool = False) -> str:
    if share is None:
        return ""
    text = f"{share['count']} of {share['of']}"
    if not interval:
        return text
    part = share["count"] / share["of"]
    return f"{text} ({part:.0%}, {share['low']:.0%} to {share['high']:.0%})"


if __name__ == "__main__":
    main()
