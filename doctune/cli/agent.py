"""`doctune chat`, `mcp` and `evaluate-agent`: conversations with the documents."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from doctune.cli.answers import latest_index
from doctune.cli.app import app
from doctune.cli.paths import ROOT
from doctune.configuration.settings import load_settings
from doctune.errors import UsageError

if TYPE_CHECKING:
    from doctune.agent import Agent, Reply
    from doctune.gateway.options import Documents

_IndexOption = Annotated[
    Path | None, typer.Option("--index", help="Folder of an index; default: the latest run's.")
]
_GroupOption = Annotated[
    list[str] | None,
    typer.Option("--group", help="Search as this access group; default: all documents."),
]
_DocumentOption = Annotated[
    list[str] | None,
    typer.Option("--document", help="Search only files whose path matches, such as 'manual*.pdf'."),
]
_LanguageOption = Annotated[
    list[str] | None,
    typer.Option("--language", help="Search only documents in this language, such as en."),
]
_SinceOption = Annotated[
    str, typer.Option("--since", help="Search only documents of this date or later: 2026-03-01.")
]
_UntilOption = Annotated[
    str, typer.Option("--until", help="Search only documents of this date or earlier.")
]


@app.command()
def chat(
    index: _IndexOption = None,
    group: _GroupOption = None,
    document: _DocumentOption = None,
    language: _LanguageOption = None,
    since: _SinceOption = "",
    until: _UntilOption = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per answer.")
    ] = False,
) -> None:
    """Talk with the documents of the latest run. An empty line or Ctrl-D ends it."""
    from doctune.agent import Turn
    from doctune.knowledge.filters import Filter

    only = Filter(tuple(document or ()), tuple(language or ()), since, until)
    agent = _agent(index)
    turns: list[Turn] = []
    interactive = typer.get_text_stream("stdin").isatty()
    while True:
        try:
            asked = input("> " if interactive else "").strip()
        except EOFError:
            break
        if not asked:
            break
        reply = agent.ask(asked, turns, _groups(group), only)
        turns.append(Turn(reply.question, reply.text))
        typer.echo(_as_json(reply) if as_json else _shown(reply))


@app.command("mcp")
def serve_mcp(index: _IndexOption = None, group: _GroupOption = None) -> None:
    """Serve search_documents and ask_documents over MCP, on standard input and output."""
    from doctune.agent.mcp_server import make_server

    make_server(_agent(index), _groups(group)).run("stdio")


@app.command("evaluate-agent")
def evaluate_agent(
    questions: Annotated[
        Path | None,
        typer.Option(help="JSONL of questions; default: evaluation.questions of config.yaml."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="JSONL file for the graded answers.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    index: _IndexOption = None,
) -> None:
    """Grade the agent's answers to questions with known answers."""
    from doctune.agent.measure import load_cases, measure
    from doctune.files import write_text

    file = questions or Path(load_settings().evaluation.questions or "samples/questions.jsonl")
    marked, figures = measure(_agent(index), load_cases(file))
    if out:
        lines = (json.dumps(asdict(one), ensure_ascii=False) for one in marked)
        write_text(out, "".join(f"{line}\n" for line in lines))
    if as_json:
        typer.echo(json.dumps(asdict(figures)))
        return
    for name, value in asdict(figures).items():
        typer.echo(f"{name.replace('_', ' '):28} {value if value is not None else '-'}")


def latest_documents() -> Documents | None:
    """Returns the latest run's index, PDFs and model; None for what it does not have."""
    from doctune.gateway.options import Documents
    from doctune.runner.main_job import LATEST_INDEX

    try:
        latest_index()
    except UsageError:
        return None
    latest = json.loads((ROOT / LATEST_INDEX).read_text(encoding="utf-8"))
    model = _folder_here(latest.get("model"))
    tokenizer = Path(model) / "model" if model else None
    return Documents(
        index=str((ROOT / LATEST_INDEX).absolute()),  # the gateway follows what it names
        pdfs=_folder_here(latest.get("pdfs")),
        tokenizer=str(tokenizer) if tokenizer and (tokenizer / "tokenizer.json").is_file() else "",
    )


def _folder_here(name: str | None) -> str:
    here = Path(name) if name and "://" not in name else None
    return str(here.absolute()) if here and here.is_dir() else ""


def _agent(index: Path | None) -> Agent:
    from doctune.agent import Agent

    return Agent.open(index or latest_index())


def _groups(given: list[str] | None) -> list[str] | None:
    return [*given, "everybody"] if given else None


def _as_json(reply: Reply) -> str:
    return json.dumps(
        {
            "question": reply.question,
            "answer": reply.text,
            "sources": [one.document() for one in reply.sources],
            "closest": [one.document() for one in reply.closest],
            "answered_by": reply.speaker.stage,
        },
        ensure_ascii=False,
    )


def _shown(reply: Reply) -> str:
    lines = [reply.text, ""]
    lines += [
        f"[{one.number}] {one.source.file}, page {one.source.page}"
        + (f": {one.source.heading[-1]}" if one.source.heading else "")
        for one in reply.sources
    ]
    return "\n".join(lines).rstrip() + "\n"
