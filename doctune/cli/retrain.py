"""`doctune retrain`: starts retrainings on new feedback, changed documents or a schedule."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from doctune.cli.answers import latest_index, serve_index
from doctune.cli.app import app
from doctune.cli.feedback import open_database
from doctune.cli.paths import ROOT, SPEC
from doctune.cli.session import AsJson, Impersonate, Local, run_settings, vertex_session
from doctune.configuration.settings import VertexSettings, config_folder, load_settings
from doctune.errors import ConfigurationError, UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from doctune.configuration.retraining import RetrainingSettings
    from doctune.database.engine import Engine
    from doctune.feedback.start import StartFrom
    from doctune.feedback.trigger import World
    from doctune.feedback.vertex_runs import VertexRuns

retrain = typer.Typer(help="Automatic retraining.", no_args_is_help=True)
app.add_typer(retrain, name="retrain")

_SPEC = SPEC.with_name("retrain.yaml")
Index = Annotated[
    str,
    typer.Option("--index", help="Folder of an index, local or gs://; default: the latest run's."),
]


@retrain.command()
def trigger(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print what would be done.")
    ] = False,
    spec: Annotated[str, typer.Option(help="The compiled pipeline.")] = str(_SPEC),
    index: Index = "",
    local: Local = True,
    impersonate: Impersonate = "",
    as_json: AsJson = False,
) -> None:
    """Start a retraining if there is a reason to, and continue one that was started.

    Run it every few minutes: each call takes the next step, and no step is taken twice by
    concurrent calls. The reasons are set in config/retraining.yaml.
    """
    from doctune.configuration.retraining import load_retraining
    from doctune.feedback.trigger import as_json as decision_as_json
    from doctune.feedback.trigger import trigger as decide

    options, engine = load_retraining(config_folder()), open_database()
    with vertex_session(local, impersonate, keep_running=True) as vertex:
        folder = _index(index)
        if folder is not None and not dry_run:
            _review_by_rules(engine, folder, options)
        decision = decide(
            engine,
            _runs(engine, spec, vertex, options, local=local),
            _world(engine, vertex, folder, options),
            options.trigger,
            options.rollout,
            dry_run=dry_run,
        )
    if as_json:
        typer.echo(json.dumps(decision_as_json(decision) | {"dry_run": dry_run}))
    else:
        would = "would be " if dry_run and decision.action != "none" else ""
        name = f" {decision.retraining}" if decision.retraining else ""
        typer.echo(f"{would}{decision.action}{name}: {decision.why}")
    if decision.action == "failed":
        raise typer.Exit(1)  # so that who starts it by the clock hears of it


@retrain.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the retrainings, latest first, with reason and result."""
    from doctune.database.retrainings import BASELINE, retrainings

    rows = [row for row in retrainings(open_database()) if row.state != BASELINE]
    if as_json:
        for row in rows:
            shown = {
                "id": row.id,
                "created_at": row.created_at.isoformat(),
                "state": row.state,
                "reason": row.reason,
                "run": row.run,
                "attempts": row.attempts,
                "cost": row.cost,
                "finished_at": row.finished_at.isoformat() if row.finished_at else None,
                "details": row.details,
            }
            typer.echo(json.dumps(shown))
        return
    table = Table("retraining", "state", "attempts", "why", "cost")
    for row in rows:
        cells = (row.id, row.state, str(row.attempts), str(row.reason.get("why", "")))
        table.add_row(*cells, f"{row.cost:.2f}")
    Console().print(table)


@retrain.command()
def review(index: Index = "", as_json: AsJson = False) -> None:
    """Accept corrections by the rules of retraining.yaml: agreed on, and in the documents."""
    from doctune.configuration.retraining import load_retraining

    folder = _given(index) or latest_index()
    found = _review_by_rules(open_database(), folder, load_retraining(config_folder()))
    if as_json:
        typer.echo(json.dumps(found))
        return
    typer.echo(f"Accepted {found['accepted']}.")
    for why, count in found["left"].items():
        typer.echo(f"Left for a person: {count} ({why})")


def _review_by_rules(
    engine: "Engine", folder: Path, options: "RetrainingSettings"
) -> dict[str, Any]:
    from dataclasses import asdict

    from doctune.feedback.rules import review_by_rules
    from doctune.feedback.support import PassageSupport

    support = PassageSupport.of_index(folder)
    return asdict(review_by_rules(engine, support, options.review, options.augment))


def _runs(
    engine: "Engine",
    spec: str,
    vertex: VertexSettings,
    options: "RetrainingSettings",
    *,
    local: bool,
) -> "VertexRuns":
    from doctune.feedback.vertex_runs import VertexRuns

    settings = load_settings()

    def parameters(start_from: "StartFrom") -> dict[str, Any]:
        from doctune.cli.pipeline_values import run_parameters
        from doctune.vertex.specs import read_signature

        values = run_parameters(read_signature(spec), vertex, yes=True)
        values["augment"] = options.augment.model_dump(mode="json", exclude_defaults=True)
        if start_from == "champion":
            values["base_model"] = (
                _champion_weights(settings.registry_name()) or values["base_model"]
            )
        return values

    if "://" not in spec and not Path(spec).is_file():
        raise UsageError(f"{spec} is missing: run `doctune compile` first.")
    return VertexRuns(
        engine=engine,
        spec=spec,
        staging_bucket=vertex.staging_bucket,
        model_name=settings.registry_name(),
        endpoint=vertex.endpoint.name,
        parameters=parameters,
        settings=run_settings(vertex),
        on_champion=serve_index if local else None,
    )


def _champion_weights(model_name: str) -> str:
    from doctune.vertex import champion_uri

    uri = champion_uri(model_name)
    return f"{uri.rstrip('/')}/model" if uri else ""


def _world(
    engine: "Engine", vertex: VertexSettings, folder: Path | None, options: "RetrainingSettings"
) -> "World":
    from doctune.compute.costs import estimate, hours_of_last_run
    from doctune.compute.prices import load_prices
    from doctune.digests import digest_value
    from doctune.documents import corpus_digest
    from doctune.feedback.start import start_from
    from doctune.feedback.trigger import World
    from doctune.vertex import list_folder

    pdfs, last_run = load_settings().pdfs, ROOT / "last_run.json"
    if pdfs.startswith("gs://"):
        digest = digest_value([[item.relative, item.crc32c] for item in list_folder(pdfs)])
    else:
        digest = corpus_digest(Path(pdfs).expanduser())
    hours = hours_of_last_run(last_run) if last_run.is_file() else {}
    cost = estimate(vertex, load_prices(), hours).total

    def unknown(most: int, since: "datetime | None") -> tuple[int, int] | None:
        from doctune.database.retrainings import last_questions
        from doctune.feedback.drift import unknown_questions

        if folder is None:
            return None
        return unknown_questions(last_questions(engine, most, since), folder)

    return World(digest, cost, unknown, start_from(engine, options))


def _given(index: str) -> Path | None:
    from doctune.artifacts import local_folder

    return local_folder(index) if index else None


def _index(given: str) -> Path | None:
    try:
        return _given(given) or latest_index()
    except ConfigurationError:
        raise
    except UsageError:
        return None  # no run yet: the rules accept nothing, and drift is not known
