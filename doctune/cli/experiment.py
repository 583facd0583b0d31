"""`doctune experiment`: A/B tests with automatic promotion and rollback."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from doctune.cli.app import app
from doctune.cli.session import AsJson, Impersonate, Local, vertex_session
from doctune.configuration.settings import config_folder, load_settings, load_vertex_settings
from doctune.errors import UsageError

if TYPE_CHECKING:
    from doctune.database.engine import Engine
    from doctune.database.experiments import Decided
    from doctune.experiments.status import Row

experiment = typer.Typer(
    help="A/B tests of model versions, prompts and parameters.", no_args_is_help=True
)
app.add_typer(experiment, name="experiment")

Name = Annotated[str, typer.Argument(help="Name of the experiment.")]


@experiment.command()
def create(
    name: Name,
    metric: Annotated[str, typer.Option(help="Primary metric, defined in experiments.yaml.")],
    model: Annotated[str, typer.Option(help="The model's name in requests.")] = "",
    control: Annotated[str, typer.Option(help="Version, alias or resource name.")] = "champion",
    treatment: Annotated[
        list[str] | None,
        typer.Option(
            help="Version, alias or resource name; default: candidate. same: the control's "
            "version. vertex:ENDPOINT#MODEL or https://HOST/v1#MODEL: a model served there, such "
            "as an adapter. vertex:ENDPOINT/deployedModels/ID: one deployed model, by its invoke "
            "route. May be repeated for several treatments."
        ),
    ] = None,
    guardrail: Annotated[
        list[str] | None, typer.Option(help="Metric that must not get worse.")
    ] = None,
    ramp: Annotated[str, typer.Option(help="Percentages of users in the treatment.")] = "1,5,25,50",
    parameters: Annotated[
        str, typer.Option(help='Treatment parameters as JSON: {"temperature": 0.2}')
    ] = "",
    system_prompt: Annotated[
        Path | None, typer.Option(help="File with the treatment's prompt.", exists=True)
    ] = None,
    layer: Annotated[
        str, typer.Option(help="Experiments in a layer share no users; default: the model's.")
    ] = "",
    layer_share: Annotated[float, typer.Option(min=1, max=100, help="Percentage of it.")] = 100,
    force: Annotated[
        list[str] | None, typer.Option(help="UNIT=ARM: a tester's arm; not counted.")
    ] = None,
    shadow: Annotated[bool, typer.Option(help="Users do not see the treatment's answers.")] = False,
    watch_it: Annotated[
        bool, typer.Option("--watch", help="Run the controller until it ends.")
    ] = False,
    local: Local = True,
    impersonate: Impersonate = "",
) -> None:
    """Create an experiment. It starts with `doctune experiment watch`."""
    from doctune.experiments.creation import Request, create_experiment, treatments_named
    from doctune.experiments.options import load_experiment_options

    given = _json(parameters)
    prompt = system_prompt.read_text(encoding="utf-8") if system_prompt else None
    settings, vertex = load_settings(), load_vertex_settings()
    request = Request(
        name=name,
        model=model or vertex.endpoint.name,
        endpoint=vertex.endpoint.name,
        registered=settings.registry_name(),
        control=control,
        treatments=treatments_named(treatment or ["candidate"], given, prompt),
        metric=metric,
        guardrails=tuple(guardrail or ()),
        ramp=_numbers(ramp),
        layer=layer,
        layer_share=layer_share,
        forced=dict(_pair(one) for one in force or ()),
        shadow=shadow,
    )
    with vertex_session(local, impersonate, keep_running=True):
        plan = create_experiment(_engine(), load_experiment_options(config_folder()), request)
        typer.echo(
            f"{plan.name}: {plan.metric} of {', '.join(plan.treatments)} against the control."
        )
        if watch_it:
            _watch(plan.name)
    if not watch_it:
        typer.echo(f"Start it with: doctune experiment watch {plan.name}")


@experiment.command()
def watch(
    name: Name,
    lease_seconds: Annotated[
        float, typer.Option(min=1, help="Seconds until another controller replaces a dead one.")
    ] = 30.0,
    local: Local = True,
    impersonate: Impersonate = "",
) -> None:
    """Run an experiment's controller until it ends. After a kill it resumes where it stopped."""
    with vertex_session(local, impersonate, keep_running=True):
        _watch(name, lease_seconds)


@experiment.command()
def stop(
    name: Name,
    keep: Annotated[str, typer.Option(help="The arm to keep.")] = "control",
    local: Local = True,
    impersonate: Impersonate = "",
) -> None:
    """End an experiment now and undeploy what was deployed for it."""
    from doctune.database.experiments import ENDED, get_experiment, request_stop

    engine = _engine()
    state = get_experiment(engine, name)
    if state.state == ENDED:
        typer.echo(f"{name} has ended already: {state.verdict}.")
        return
    arms = [arm["name"] for arm in state.plan["arms"]]
    if keep not in arms:
        raise UsageError(f"{name} has no arm {keep}: it has {', '.join(arms)}.")
    request_stop(engine, name, keep)
    with vertex_session(local, impersonate, keep_running=True):
        _watch(name)


@experiment.command("list")
def list_(as_json: AsJson = False) -> None:
    """Show all experiments."""
    from doctune.database.experiments import list_experiments

    states = list_experiments(_engine())
    if as_json:
        rows = [
            {"name": s.name, "model": s.model, "state": s.state, "verdict": s.verdict}
            for s in states
        ]
        typer.echo(json.dumps(rows))
        return
    table = Table("name", "model", "state", "verdict", "created")
    for state in states:
        created = f"{state.created_at:%Y-%m-%d %H:%M}"
        table.add_row(state.name, state.model, state.state, state.verdict or "", created)
    Console().print(table)


@experiment.command()
def status(name: Name, as_json: AsJson = False) -> None:
    """Show an experiment's shares, users, intervals, health and next step."""
    from doctune.experiments.status import standing_of

    found = standing_of(_engine(), name)
    if as_json:
        typer.echo(json.dumps(asdict(found)))
        return
    typer.echo(found.headline)
    _show(found.findings)
    typer.echo(found.health)
    typer.echo(found.next_step)


@experiment.command()
def report(
    name: Name,
    out: Annotated[Path, typer.Option(help="HTML file to write.")] = Path("experiment.html"),
) -> None:
    """Write an HTML report: verdict, intervals over time, all metrics, slices, examples."""
    from doctune.experiments.report import render_report
    from doctune.files import write_text

    write_text(out, render_report(_engine(), name))
    typer.echo(f"Wrote {out}.")


@experiment.command()
def export(
    name: Name,
    out: Annotated[Path, typer.Option(help="Parquet file to write.")] = Path("exposures.parquet"),
) -> None:
    """Write an experiment's exposures to Parquet: one row per request, with all metrics."""
    from doctune.database.experiments import get_experiment
    from doctune.experiments.plan import Plan
    from doctune.experiments.sources import write_exposures

    engine = _engine()
    plan = Plan.model_validate(get_experiment(engine, name).plan)
    typer.echo(f"Wrote {write_exposures(engine, plan, out):,} exposures to {out}.")


@experiment.command()
def analyse(
    name: Name,
    exposures: Annotated[
        str, typer.Option(help="Parquet file written by `export`, or a glob pattern.")
    ] = "exposures.parquet",
    as_json: AsJson = False,
) -> None:
    """Analyse exported exposures without the database, for many millions of them."""
    from doctune.database.experiments import get_experiment
    from doctune.experiments.analysis import evaluate
    from doctune.experiments.plan import Plan
    from doctune.experiments.sources import ParquetSource
    from doctune.experiments.status import row_of

    plan = Plan.model_validate(get_experiment(_engine(), name).plan)
    known = evaluate(plan, ParquetSource(exposures, name), metrics=tuple(plan.metrics))
    rows = [row_of(asdict(found)) for found in known.findings]
    if as_json:
        document = {
            "users": dict(known.users),
            "mismatch_p_value": known.mismatch_p_value,
            "findings": [asdict(row) for row in rows],
        }
        typer.echo(json.dumps(document))
        return
    _show(rows)
    users = ", ".join(f"{arm} {count:,}" for arm, count in known.users.items())
    typer.echo(f"Users: {users} (sample ratio p = {known.mismatch_p_value:.3g}).")


@experiment.command()
def plan(
    metric: Annotated[str, typer.Option(help="A metric of experiments.yaml.")],
    effect: Annotated[float, typer.Option(help="Difference to detect, in the metric's unit.")],
    model: Annotated[str, typer.Option(help="The model's name in requests.")] = "",
    days: Annotated[int, typer.Option(min=1, help="Days of the log to use.")] = 28,
    power: Annotated[float, typer.Option(min=0.5, max=0.99)] = 0.8,
    as_json: AsJson = False,
) -> None:
    """Estimate how many users and days an effect needs, from the variance in the log."""
    from doctune.experiments.planning import plan_experiment

    found = plan_experiment(
        _engine(),
        config_folder(),
        model or load_vertex_settings().endpoint.name,
        metric,
        effect,
        days=days,
        power=power,
    )
    typer.echo(json.dumps(asdict(found)) if as_json else found.text)


def _show(rows: "Sequence[Row]") -> None:
    columns = ("metric", "arm", "role", "control", "treatment", "effect", "interval", "guardrail")
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row.cells)
    # Cut to 80 columns, the names of several metrics are the same.
    Console(width=150).print(table)


def _watch(name: str, lease_seconds: float = 30.0) -> None:
    from doctune.experiments.controller import Controller
    from doctune.experiments.platform import VertexPlatform
    from doctune.vertex.locks import this_owner

    controller = Controller(
        _engine(), name, VertexPlatform(), this_owner(), lease_seconds=lease_seconds
    )

    def show(decided: "Decided") -> None:
        typer.echo(f"{decided.decided_at:%Y-%m-%d %H:%M:%S}  {decided.action}  {decided.sentence}")

    state = controller.run(show)
    typer.echo(f"{name} has ended: {state.verdict}.")


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"--ramp is a list of percents, as in 1,5,25,50; not {text!r}.") from error


def _pair(text: str) -> tuple[str, str]:
    unit, found, arm = text.rpartition("=")
    if not found or not unit or not arm:
        raise UsageError(f"--force is UNIT=ARM; not {text!r}.")
    return unit, arm


def _json(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text) if text else {}
    except ValueError as error:
        raise UsageError(f"--parameters is no JSON: {error}.") from error
    if not isinstance(found, dict):
        raise UsageError('--parameters is a mapping, as in {"temperature": 0.2}.')
    return found


def _engine() -> "Engine":
    from doctune.gateway.server import surroundings

    return surroundings().engine
