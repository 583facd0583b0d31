"""`doctune ask`, `search` and `index`: answers from the documents, and the passages behind them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from doctune.cli.app import app
from doctune.cli.local_vertex import local_vertex
from doctune.cli.paths import ROOT
from doctune.configuration.settings import load_settings, load_vertex_settings
from doctune.errors import UsageError
from doctune.files import write_text

if TYPE_CHECKING:
    from doctune.evaluation.product import Answering
    from doctune.knowledge import Answer
    from doctune.vertex import ModelVersion

_IndexOption = Annotated[
    Path | None, typer.Option("--index", help="Folder of an index; default: the latest run's.")
]
_BATCH = 16  # questions to the endpoint in one request


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="What to ask.")] = "",
    file: Annotated[
        Path | None, typer.Option(help='JSONL of questions: {"question": ...} per line.')
    ] = None,
    out: Annotated[Path | None, typer.Option(help="JSONL file for the answers to --file.")] = None,
    closed_book: Annotated[
        bool, typer.Option("--closed-book", help="Ask the deployed model without the documents.")
    ] = False,
    base: Annotated[bool, typer.Option(help="Also show the base model's answer.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    index: _IndexOption = None,
) -> None:
    """Answer questions from the documents of the latest run, with file and page."""
    if bool(question) == bool(file):
        raise UsageError('ask one question, doctune ask "...", or many with --file and --out.')
    if bool(file) != bool(out):
        raise UsageError("--file and --out go together: the one is answered into the other.")
    if file and out:
        _ask_many(file, out, closed_book, index)
    elif closed_book or base:
        _ask_endpoint(question, base, as_json)
    else:
        _print(_answers([question], index)[0], as_json)


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="Words or a question to search for.")],
    top: Annotated[int, typer.Option(min=1, max=50, help="Number of passages.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
    index: _IndexOption = None,
) -> None:
    """Show the best-matching passages of the latest run's documents, with page and score."""
    from doctune.knowledge import Answerer

    found = Answerer.open(index or latest_index()).search(query, top)
    if as_json:
        rows = [
            {
                "file": one.file,
                "pages": one.pages,
                "score": round(one.score, 3),
                "heading": one.heading,
                "text": one.text,
            }
            for one in found
        ]
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    for one in found:
        where = " > ".join(one.heading)
        typer.echo(f"{one.score:.2f}  {one.file}, page {one.page}{': ' if where else ''}{where}")
        typer.echo("      " + one.text.replace("\n", "\n      ") + "\n")


@app.command("index")
def build(
    documents: Annotated[Path, typer.Argument(help="Folder that `parse --parquet` wrote.")],
    out: Annotated[Path, typer.Option(help="Folder for the index; an existing index is updated.")],
    tune: Annotated[
        Path | None,
        typer.Option(help="JSONL of examples from these documents, to tune the retriever on."),
    ] = None,
) -> None:
    """Index parsed documents, with the settings in `knowledge`."""
    from doctune.knowledge import build_index, tune_retriever

    made = build_index(documents, out, load_settings().knowledge)
    typer.echo(
        f"{made.units} units in {made.passages} passages of {made.documents} documents "
        f"({made.reused} taken from the index before) written to {out}."
    )
    if tune is not None:
        tuned = tune_retriever(out, tune, out)
        typer.echo(
            f"Mean reciprocal rank of {tuned.held_out} questions kept out: {tuned.rank_before:.3f} "
            f"before tuning, {tuned.rank_after:.3f} after; the index "
            f"{'has the tuned encoder' if tuned.kept else 'stays as it was'}."
        )


def latest_index() -> Path:
    """Returns the index of the latest run.

    Raises:
        UsageError: There has been no run.
    """
    folder = _latest().get("index")
    if folder and Path(folder).is_dir():
        return Path(folder)
    raise UsageError(
        "there is no index of an earlier run here: run `doctune run` first, or give --index FOLDER."
    )


def serve_index(version: ModelVersion) -> None:
    """Makes the index that a version was released with the one that questions are answered from.

    A running gateway takes it within seconds. A version that names none changes nothing.
    """
    from doctune.artifacts import local_folder
    from doctune.files import write_json
    from doctune.runner.main_job import LATEST_INDEX

    uri = version.text("index")
    if uri:
        latest = {
            **_latest(),
            "index": str(local_folder(uri).absolute()),
            "answering": version.labels.get("answering") or "quote",
            "version": version.name,
        }
        write_json(ROOT / LATEST_INDEX, latest)


def latest_answering(index: Path | None) -> Answering:
    """Returns the way of answering that the latest run's evaluation chose.

    Args:
        index: An index to quote from instead.
    """
    way: Answering = "quote" if index else _latest().get("answering", "quote")
    return way


def _latest() -> dict[str, Any]:
    from doctune.runner.main_job import LATEST_INDEX

    path = ROOT / LATEST_INDEX
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def _answers(questions: list[str], index: Path | None) -> list[Answer]:
    """Answers in the way that the latest run's evaluation chose; quotes from another index."""
    quoted = _quotations(questions, index)
    way = latest_answering(index)
    if way == "quote":
        return quoted
    from doctune.batch.own_words import answer_with_model
    from doctune.evaluation.grounding import IndexKnowledge

    return answer_with_model(way, IndexKnowledge(latest_index()), quoted, _endpoint_answers)


def _quotations(questions: list[str], index: Path | None) -> list[Answer]:
    from doctune.knowledge import Answerer
    from doctune.progress import progress

    answerer = Answerer.open(index or latest_index())
    found = []
    with progress("Answering", len(questions), "questions") as bar:
        for question in questions:
            found.append(answerer.answer(question))
            bar.advance()
    return found


def _ask_many(file: Path, out: Path, closed_book: bool, index: Path | None) -> None:
    questions = read_questions(file)
    if closed_book:
        rows = [
            {"question": question, "answer": answer, "sources": []}
            for question, answer in zip(questions, _endpoint_answers(questions), strict=True)
        ]
    else:
        rows = [_row(answer) for answer in _answers(questions, index)]
    write_text(out, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    typer.echo(f"{len(rows)} answers written to {out}.")


def read_questions(file: Path) -> list[str]:
    """Returns the questions of a JSONL file in order.

    Raises:
        UsageError: The file is missing, or a line is not an object with a question.
    """
    if not file.is_file():
        raise UsageError(f"{file} is missing: give a JSONL file of questions.")
    questions = []
    with file.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise UsageError(f"{file}, line {number} is not JSON: {error}.") from error
            question = row.get("question") if isinstance(row, dict) else None
            if not isinstance(question, str) or not question.strip():
                raise UsageError(f'{file}, line {number} has no "question" with text.')
            questions.append(question)
    if not questions:
        raise UsageError(f"{file} holds no questions.")
    return questions


def _endpoint_answers(questions: list[str]) -> list[str]:
    from doctune.runner.main_job import answers_by_endpoint

    vertex = load_vertex_settings()
    with local_vertex():
        answers: list[str] = []
        for start in range(0, len(questions), _BATCH):
            answers += answers_by_endpoint(vertex, questions[start : start + _BATCH])[1]
    return answers


def _ask_endpoint(question: str, base: bool, as_json: bool) -> None:
    from doctune.runner.main_job import answer_by_base, answer_by_endpoint

    settings, vertex = load_settings(), load_vertex_settings()
    with local_vertex():
        endpoint, answer = answer_by_endpoint(vertex, question)
    answers = {"endpoint": endpoint, "question": question, "answer": answer}
    if base:
        answers["answer_base"] = answer_by_base(settings.training.base_model, question)
    if as_json:
        typer.echo(json.dumps(answers, ensure_ascii=False))
        return
    typer.echo(answer)
    if base:
        typer.echo(f"\nThe base model: {answers['answer_base']}")


def _row(answer: Answer) -> dict[str, Any]:
    return {
        "question": answer.question,
        "answer": answer.answer,
        "sources": [
            {"file": one.file, "page": one.page, "text": one.text} for one in answer.sources
        ],
    }


def _print(answer: Answer, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(_row(answer), ensure_ascii=False))
        return
    typer.echo(answer.answer)
    if answer.sources:
        typer.echo("")
    for number, one in enumerate(answer.sources, 1):
        text = " ".join(one.text.split())
        shown = text if len(text) <= 160 else f"{text[:160].rsplit(' ', 1)[0]} …"
        typer.echo(f"[{number}] {one.file}, page {one.page}: {shown}")
