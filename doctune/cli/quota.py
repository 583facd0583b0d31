"""`doctune quota` and `doctune cost`: the quota that a run needs, and its cost."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from doctune.cli.app import app
from doctune.cli.local_vertex import LOCAL_PROJECT
from doctune.cli.paths import ROOT
from doctune.cli.session import AsJson
from doctune.configuration.settings import load_vertex_settings
from doctune.errors import ConfigurationError, UsageError

if TYPE_CHECKING:
    from doctune.compute.costs import RunCost
    from doctune.compute.prices import PriceTable
    from doctune.compute.quotas import Need, Standing


@app.command()
def quota(
    offline: Annotated[
        bool,
        typer.Option(
            "--offline", help="Show the quota of a run without comparing it with the project's."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compare the quota that a run needs with the project's limits.

    Exit code 1 if a limit is too low.
    """
    from doctune.compute.prices import load_prices
    from doctune.compute.quotas import compare, needs_of
    from doctune.vertex.quotas import limits_of

    settings = load_vertex_settings()
    needs = needs_of(settings, load_prices())
    if offline:
        _show_needs(needs, settings.location, as_json)
        return
    if settings.project == LOCAL_PROJECT:
        raise ConfigurationError(
            f"project {LOCAL_PROJECT} exists only on this machine: set project in "
            "vertex_config.yaml, or use --offline."
        )
    limits = limits_of(settings.project, settings.location, [need.metric for need in needs])
    standings = compare(needs, limits)
    _show_standings(standings, settings.project, settings.location, as_json)
    if not all(standing.enough for standing in standings):
        raise typer.Exit(1)


@app.command()
def cost(
    hours: Annotated[
        list[str] | None,
        typer.Option("--hours", metavar="STEP=HOURS", help="Hours of a step; may be repeated."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Estimate what a run costs, from prices.yaml.

    The steps are taken to last as long as in the last run on this machine, or as --hours says.
    """
    from doctune.compute.costs import estimate, hours_of_last_run
    from doctune.compute.prices import load_prices

    prices = load_prices()
    given = _hours(hours or [])
    last_run = ROOT / "last_run.json"
    measured = hours_of_last_run(last_run) if last_run.is_file() or not given else {}
    settings = load_vertex_settings()
    run = estimate(settings, prices, measured | given)
    if as_json:
        typer.echo(json.dumps(_cost_document(run, prices), indent=2))
    else:
        _show_cost(run, prices)
    for warning in _warnings(prices, settings.location):
        Console(stderr=True).print(warning, style="yellow", soft_wrap=True, highlight=False)


def _hours(options: list[str]) -> dict[str, float]:
    found = {}
    for option in options:
        step, _, number = option.partition("=")
        try:
            found[step] = float(number)
        except ValueError as error:
            raise UsageError(
                f"--hours {option} is not STEP=HOURS, such as tune-model=2.5."
            ) from error
        if not 0 <= found[step] < float("inf"):
            raise UsageError(f"--hours {option}: hours must be 0 or more.")
    return found


def _show_needs(needs: "list[Need]", location: str, as_json: bool) -> None:
    if as_json:
        rows = [{"metric": n.metric, "need": n.amount, "reason": n.reason} for n in needs]
        typer.echo(json.dumps({"location": location, "quotas": rows}, indent=2))
        return
    table = Table("quota", "need", "for", box=None, pad_edge=False)
    for need in needs:
        table.add_row(_short(need.metric), str(need.amount), need.reason)
    console = Console()
    console.print(f"In {location} a run needs:", highlight=False)
    console.print(table)


def _show_standings(
    standings: "list[Standing]", project: str, location: str, as_json: bool
) -> None:
    if as_json:
        rows = [
            {
                "metric": s.need.metric,
                "need": s.need.amount,
                "limit": s.limit,
                "enough": s.enough,
                "reason": s.need.reason,
            }
            for s in standings
        ]
        document = {"project": project, "location": location, "quotas": rows}
        typer.echo(json.dumps(document, indent=2))
        return
    table = Table("", "quota", "need", "limit", "for", box=None, pad_edge=False)
    for s in standings:
        limit = {None: "not listed", -1: "unlimited"}.get(s.limit, str(s.limit))
        known = s.limit is not None or s.need.certain
        mark = ("ok" if known else "unknown") if s.enough else "TOO LITTLE"
        table.add_row(mark, _short(s.need.metric), str(s.need.amount), limit, s.need.reason)
    console = Console()
    console.print(table)
    if not all(s.enough for s in standings):
        console.print(
            f"Ask for more: https://console.cloud.google.com/iam-admin/quotas?project={project} "
            f"(filter by the metric and {location}).",
            highlight=False,
            soft_wrap=True,
        )


def _short(metric: str) -> str:
    return metric.partition("/")[2]


def _cost_document(run: "RunCost", prices: "PriceTable") -> dict[str, Any]:
    return {
        "currency": prices.currency,
        "prices_of": prices.date.isoformat(),
        "region": prices.region,
        "steps": [
            {
                "step": s.name,
                "machine": s.machine,
                "hours": round(s.hours, 4),
                "price_an_hour": round(s.price, 4),
                "cost": round(s.cost, 4),
            }
            for s in run.steps
        ],
        "pipeline_run": run.pipeline_run,
        "total": round(run.total, 4),
        "endpoint_a_month": round(run.endpoint.cost, 2),
    }


def _show_cost(run: "RunCost", prices: "PriceTable") -> None:
    table = Table("step", "machine", "hours", f"{prices.currency} an hour", "cost", box=None)
    for s in run.steps:
        table.add_row(s.name, s.machine, f"{s.hours:.3f}", f"{s.price:.3f}", f"{s.cost:.3f}")
    table.add_row("pipeline run", "", "", "", f"{run.pipeline_run:.3f}")
    table.add_row("in all", "", "", "", f"{run.total:.2f}", style="bold")
    console = Console()
    console.print(table)
    console.print(
        f"After it, {run.endpoint.name} costs {run.endpoint.cost:.2f} {prices.currency} a month "
        f"({run.endpoint.machine}) until it is undeployed. Storage, logs and traffic come on top.",
        highlight=False,
    )
    console.print(
        f"Prices of {prices.date.isoformat()} in {prices.region} (prices.yaml).", highlight=False
    )


def _warnings(prices: "PriceTable", location: str) -> list[str]:
    found = []
    age = prices.age_days(datetime.now(UTC).date())
    if age > prices.stale_after_days:
        found.append(
            f"Warning: the prices are {age} days old; look them up and set date in prices.yaml."
        )
    if location != prices.region:
        found.append(f"Warning: the prices are those of {prices.region}, the run is in {location}.")
    return found
