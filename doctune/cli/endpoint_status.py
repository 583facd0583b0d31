"""`doctune watch`, and the overview of one endpoint for `doctune status --endpoint`."""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from doctune.cli.app import app
from doctune.cli.session import AsJson
from doctune.errors import UsageError

if TYPE_CHECKING:
    from doctune.capacity.scrape import MetricsDelta, Samples
    from doctune.capacity.served import Served
    from doctune.vertex import Variant

_HOURS = 1.0
_MOST_ROWS = 20_000


def show_endpoint(name: str, as_json: bool) -> None:
    """Prints versions, shares, rates, latencies, deployments, alerts and the experiment.

    Raises:
        DeploymentError: There is no such endpoint.
    """
    from doctune.capacity.served import served
    from doctune.database.experiments import PREPARING, RUNNING, list_experiments
    from doctune.database.usage import latest_predictions
    from doctune.gateway.server import surroundings
    from doctune.vertex import list_variants

    variants = list_variants(name)
    engine = surroundings().engine
    since = datetime.now(UTC) - timedelta(hours=_HOURS)
    answers = served(latest_predictions(engine, since, _MOST_ROWS), _HOURS * 3600)
    running = [
        one
        for one in list_experiments(engine, (PREPARING, RUNNING))
        if name in (one.model, one.plan.get("endpoint"))
    ]
    if as_json:
        document = {
            "endpoint": name,
            "versions": [asdict(variant) for variant in variants],
            "last_hour": [{**_known(asdict(one)), "alerts": one.alerts} for one in answers],
            "experiments": [{"name": one.name, "state": one.state} for one in running],
        }
        typer.echo(json.dumps(document, default=str))
        return
    _show(name, variants, answers, [f"{one.name} ({one.state})" for one in running])


def _show(
    name: str, variants: tuple[Variant, ...], answers: list[Served], experiments: list[str]
) -> None:
    of = {_short(one.model_version): one for one in answers}
    table = Table(
        *("version", "share", "machine", "deployed", "requests/min", "errors"),
        *("first token p50/p99", "whole p50/p99"),
        box=None,
        pad_edge=False,
    )
    for variant in sorted(variants, key=lambda one: -one.share):
        one = of.get(_short(variant.model_version))
        machine = variant.machine
        count = f"{machine.min_replica_count}-{machine.max_replica_count} x "
        deployed = f"{variant.deployed_at:%Y-%m-%d %H:%M}" if variant.deployed_at else ""
        row = [_short(variant.model_version), f"{variant.share}%", count + machine.machine_type]
        row += [deployed, *(_figures(one) if one else ("0", "", "", ""))]
        table.add_row(*row)
    console = Console(width=150)
    console.print(f"Endpoint {name}; rates and times of the last hour, by the gateway's log")
    console.print(table)
    alerts = [f"{_short(one.model_version)}: {text}" for one in answers for text in one.alerts]
    console.print(f"Alerts: {'; '.join(alerts) or 'none by the log'}", highlight=False)
    console.print(f"Experiment: {', '.join(experiments) or 'none'}", highlight=False)


def _figures(one: Served) -> tuple[str, str, str, str]:
    def pair(p50: float, p99: float) -> str:
        return "" if math.isnan(p50) else f"{p50:.2f} / {p99:.2f} s"

    return (
        f"{one.requests_a_minute:.1f}",
        f"{one.error_rate:.1%}",
        pair(one.first_token.p50, one.first_token.p99),
        pair(one.whole.p50, one.whole.p99),
    )


def _short(model_version: str) -> str:
    return model_version.rpartition("/")[2]


def _known(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _known(one) for name, one in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


@app.command()
def watch(
    url: Annotated[
        str, typer.Argument(help="Address of a gateway or model server: http://127.0.0.1:8123.")
    ],
    interval: Annotated[float, typer.Option(min=0.2, help="Seconds between two lines.")] = 2.0,
    count: Annotated[int, typer.Option(min=0, help="Lines to print; 0: until Ctrl-C.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Show the activity of a gateway or model server live, from its /metrics."""
    from doctune.capacity.scrape import glance

    if not url.startswith(("http://", "https://")):
        raise UsageError(f"{url} is no address: give it as http://HOST:PORT.")
    before, at, lines = _look(url), time.monotonic(), 0
    while True:
        time.sleep(interval)
        after, now = _look(url), time.monotonic()
        seen = glance(before, after, now - at)
        typer.echo(json.dumps(_known(asdict(seen))) if as_json else _line(seen))
        before, at, lines = after, now, lines + 1
        if lines == count:
            return


def _look(url: str) -> Samples:
    from doctune.capacity.scrape import read_metrics

    return read_metrics(url)


def _line(one: MetricsDelta) -> str:
    parts = [
        f"{one.requests:.2f} requests/s",
        f"{one.errors:.2f} errors/s",
        f"{one.tokens:.0f} tokens/s",
        _said("first token p50 {:.2f} s", one.first_token_p50),
        _said("p95 {:.2f} s", one.first_token_p95),
        _said("whole p95 {:.2f} s", one.whole_p95),
        _said("{:.0f} waiting", one.waiting),
        _said("{:.0f} running", one.running),
        _said("batch {:.1f}", one.batch),
        _said("{:.0%} of prompts known", one.reused),
        _said("cache {:.1%}", one.cache),
        _said("{:.0f} MiB", one.memory_mb),
    ]
    return ", ".join(part for part in parts if part)


def _said(form: str, value: float) -> str:
    return "" if math.isnan(value) else form.format(value)
