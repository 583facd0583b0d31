"""`doctune run` and `doctune ask`: the main job on this machine, and its endpoint."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from doctune.cli.app import app
from doctune.cli.local_vertex import local_vertex
from doctune.cli.paths import ROOT, SPEC
from doctune.configuration.environments import choose_laptop
from doctune.configuration.settings import (
    VertexSettings,
    config_folder,
    load_settings,
    load_vertex_settings,
)


class Runner(StrEnum):
    """What a step runs in."""

    SUBPROCESS = "subprocess"
    DOCKER = "docker"


@app.command()
def run(
    pdfs: Annotated[
        str | None, typer.Option(help="Folder of PDFs; else `pdfs` of config.yaml.")
    ] = None,
    question: Annotated[
        str | None, typer.Option(help="What the endpoint is asked in the end.")
    ] = None,
    spec: Annotated[Path, typer.Option(help="The compiled pipeline.")] = SPEC,
    runner: Annotated[
        Runner,
        typer.Option(help="Run the steps and the server here, or in the images of `make images`."),
    ] = Runner.SUBPROCESS,
    cache: Annotated[
        bool, typer.Option(help="Reuse the outputs of steps that nothing has changed for.")
    ] = True,
    full: Annotated[
        bool, typer.Option("--full", help="As in production: all examples, every rule of release.")
    ] = False,
) -> None:
    """Run the main job on this machine: PDFs to an answering endpoint.

    Without --full or an environment it is the short run of config/environments/laptop.
    """
    from doctune.runner.main_job import MainJob, run_main_job
    from doctune.runner.summary import show

    if not full:
        choose_laptop(config_folder())
    settings, vertex = load_settings(), load_vertex_settings()
    job = MainJob(
        settings=settings,
        vertex=vertex,
        spec=spec,
        root=ROOT,
        pdfs=pdfs or settings.pdfs,
        question=question or settings.question,
        runner=runner.value,
        enable_caching=cache,
    )
    console = Console()
    with local_vertex(_serving_images(vertex, runner)) as environment:
        summary = run_main_job(job, environment, console)
    show(summary, console)
    console.print("Ask it more: doctune ask 'your question'", highlight=False)


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="What to ask the deployed model.")],
    base: Annotated[bool, typer.Option(help="Show the base model's answer beside it.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Ask the endpoint that `doctune run` deployed."""
    from doctune.runner.main_job import answer_by_base, answer_by_endpoint

    choose_laptop(config_folder())
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


def _serving_images(vertex: VertexSettings, runner: Runner) -> dict[str, list[str]]:
    """Returns the programs that make the endpoint serve from containers, with the docker runner."""
    if runner is Runner.SUBPROCESS:
        return {}
    image = f"{vertex.images.prefix}/serving:{vertex.images.tag}"
    return {image: ["{python}", "-m", "doctune.runner.image", image]}
