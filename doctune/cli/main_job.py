"""`doctune run`: the main job on this machine."""

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
    """Where a step runs."""

    SUBPROCESS = "subprocess"
    DOCKER = "docker"


@app.command()
def run(
    pdfs: Annotated[
        str | None, typer.Option(help="Folder of PDFs; default: `pdfs` of config.yaml.")
    ] = None,
    question: Annotated[
        str | None, typer.Option(help="Question to the endpoint at the end.")
    ] = None,
    spec: Annotated[Path, typer.Option(help="The compiled pipeline.")] = SPEC,
    runner: Annotated[
        Runner,
        typer.Option(
            help="Run the steps and the server as processes, or in the images of `make images`."
        ),
    ] = Runner.SUBPROCESS,
    cache: Annotated[
        bool,
        typer.Option(
            help="Reuse the outputs of steps whose inputs, settings and code are unchanged."
        ),
    ] = True,
    full: Annotated[
        bool,
        typer.Option(
            "--full", help="Use the settings of production: all examples, every rule of a release."
        ),
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


def _serving_images(vertex: VertexSettings, runner: Runner) -> dict[str, list[str]]:
    """Returns the programs that make the endpoint serve from containers, with the docker runner."""
    if runner is Runner.SUBPROCESS:
        return {}
    image = f"{vertex.images.prefix}/serving:{vertex.images.tag}"
    return {image: ["{python}", "-m", "doctune.runner.image", image]}
