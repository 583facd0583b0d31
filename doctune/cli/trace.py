"""`doctune trace`: the lineage of an answer: version, pages, training examples, feedback."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from doctune.cli.app import app
from doctune.cli.feedback import open_database
from doctune.cli.session import AsJson, Impersonate, Local, vertex_session
from doctune.configuration.settings import load_settings
from doctune.errors import DoctuneError, UsageError

if TYPE_CHECKING:
    from doctune.database.tables import Prediction


@app.command()
def trace(
    prediction_id: Annotated[str, typer.Argument(help="Id of the answer.")],
    local: Local = True,
    impersonate: Impersonate = "",
    as_json: AsJson = False,
) -> None:
    """Show the lineage of an answer: sources, version, examples, feedback, retraining."""
    prediction = _prediction(prediction_id)
    with vertex_session(local, impersonate):
        found = _chain(prediction)
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    typer.echo(f"Question   {found['question']}\nAnswer     {found['answer']}")
    for source in found["sources"]:
        typer.echo(f"Source     {source.get('document')}, page {source.get('page')}")
        for name in source.get("feedback") or ():
            typer.echo(f"           feedback {name}")
    typer.echo(f"Version    {found['model']} {found['model_version']} (run {found['run'] or '?'})")
    if found["retraining"]:
        typer.echo(f"Because    {found['retraining']['reason'].get('why')}")
    for lesson in found["lessons"]:
        pages = ", ".join(map(str, lesson["pages"]))
        typer.echo(f"Taught by  {lesson['question']} -> {lesson['answer']}")
        typer.echo(f"           {lesson['file']}, page {pages}")
        for name in lesson["feedback"]:
            typer.echo(f"           feedback {name}")
    for problem in found["unknown"]:
        typer.echo(f"Unknown    {problem}")


def _prediction(prediction_id: str) -> "Prediction":
    from doctune.database.feedback import prediction_of
    from doctune.database.ids import moment_of

    moment = moment_of(prediction_id)
    row = prediction_of(open_database(), prediction_id, moment) if moment else None
    if row is None:
        raise UsageError(f"there is no prediction {prediction_id}: doctune gateway tail.")
    return row


def _chain(prediction: "Prediction") -> dict[str, Any]:
    from doctune.artifacts import local_file
    from doctune.database.feedback_rows import last_question
    from doctune.database.retrainings import retrainings
    from doctune.feedback.trace import read_lessons
    from doctune.vertex import find_version

    question, answer = last_question(prediction.messages), prediction.answer or ""
    version = (prediction.model_version or "").rpartition("@")[2]
    found: dict[str, Any] = {
        "prediction_id": prediction.id,
        "created_at": prediction.created_at.isoformat(),
        "question": question,
        "answer": answer,
        "sources": prediction.sources or [],
        "model": prediction.model,
        "model_version": version,
        "run": "",
        "train_set": "",
        "retraining": None,
        "lessons": [],
        "unknown": [],
    }
    if not version:
        found["unknown"].append("which version answered: its upstream does not say")
        return found
    try:
        registered = find_version(load_settings().registry_name(), version)
        found |= {"run": registered.text("run"), "train_set": registered.text("train_set")}
        for row in retrainings(open_database()):
            if row.run and row.run == found["run"]:
                found["retraining"] = {"id": row.id, "reason": row.reason, "details": row.details}
        if found["train_set"]:
            read = read_lessons(local_file(found["train_set"]), question, answer)
            found["lessons"] = [asdict(lesson) for lesson in read]
        else:
            found["unknown"].append("what the version was trained on: it has no evaluation")
    except DoctuneError as error:
        found["unknown"].append(str(error))
    return found
