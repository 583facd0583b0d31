"""`doctune export`, `search-settings` and `prefer`: search, export and preference tuning."""

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from doctune.cli.app import app
from doctune.configuration.settings import load_settings


class Format(StrEnum):
    """Formats that a model can be exported to."""

    SAFETENSORS = "safetensors"
    INT8 = "int8"
    NF4 = "nf4"
    W8A8 = "w8a8"
    FP8 = "fp8"
    GGUF = "gguf"


class Method(StrEnum):
    """Methods of preference tuning."""

    DPO = "dpo"
    KTO = "kto"


@app.command()
def export(
    model_dir: Annotated[Path, typer.Option("--model", help="Folder that training wrote.")],
    out: Annotated[Path, typer.Option(help="Folder for the export.")],
    export_format: Annotated[
        Format,
        typer.Option(
            "--format",
            help="int8 for CPUs, nf4 for GPUs, w8a8 or fp8 for vLLM, gguf for llama.cpp, OpenVINO.",
        ),
    ],
    examples: Annotated[Path, typer.Option(help="JSONL of chat examples to measure quality on.")],
    max_perplexity_increase: Annotated[
        float, typer.Option(help="Maximum relative increase of perplexity: 0.05 is 5%.")
    ] = 0.05,
) -> None:
    """Export a tuned model. Exit code 1 if it would lose too much quality."""
    from doctune.training import export_model

    summary = export_model(
        model_dir,
        out,
        export_format.value,
        examples,
        max_perplexity_increase=max_perplexity_increase,
    )
    typer.echo(json.dumps(asdict(summary)))


@app.command("search-settings")
def search_settings(
    train_set: Annotated[Path, typer.Option("--train", help="JSONL of chat examples.")],
    validation_set: Annotated[Path, typer.Option("--validation", help="JSONL to validate on.")],
    out: Annotated[Path, typer.Option(help="Folder for search.json and search.html.")],
) -> None:
    """Search for the best hyperparameters on this machine, within `search` of config.yaml."""
    from doctune.training import search_hyperparameters

    settings = load_settings()
    out.mkdir(parents=True, exist_ok=True)
    result = search_hyperparameters(
        train_set,
        validation_set,
        settings.training,
        settings.search,
        result_path=out / "search.json",
        report_path=out / "search.html",
    )
    tried = (trial for trial in result.trials if trial.loss == result.best_loss)
    typer.echo(f"Best validation loss {result.best_loss:.4f} with:")
    for name, value in next(tried).parameters.items():
        typer.echo(f"  {name}: {value}")
    typer.echo(f"Written to {out}: open {out / 'search.html'}.")


@app.command()
def prefer(
    pairs: Annotated[Path, typer.Option(help="JSONL of prompts with better and worse answers.")],
    model_dir: Annotated[Path, typer.Option("--model", help="Folder that training wrote.")],
    out: Annotated[Path, typer.Option(help="Folder for the new model.")],
    method: Annotated[Method, typer.Option(help="kto also takes single good or bad answers.")] = (
        Method.DPO
    ),
    beta: Annotated[
        float, typer.Option(min=1e-6, help="How strongly the reference model constrains it.")
    ] = 0.1,
    learning_rate: Annotated[float, typer.Option(min=1e-9, max=1)] = 5e-5,
    epochs: Annotated[float, typer.Option(min=1e-3, max=100)] = 1.0,
) -> None:
    """Tune a model further on preferences: chosen and rejected answers."""
    from doctune.training import tune_preferences
    from doctune.training.preferences import PreferenceOptions

    options = PreferenceOptions(
        method=method.value, beta=beta, learning_rate=learning_rate, num_train_epochs=epochs
    )
    summary = tune_preferences(pairs, model_dir, out, options)
    typer.echo(json.dumps(asdict(summary)))
