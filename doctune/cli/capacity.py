"""`doctune bench` and `doctune size`: the load that an endpoint can carry, and what that costs."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.table import Table

from doctune.cli.app import app
from doctune.cli.paths import ROOT
from doctune.cli.session import AsJson, Impersonate, Local, vertex_session
from doctune.configuration.settings import config_folder, load_settings, load_vertex_settings
from doctune.errors import UsageError

if TYPE_CHECKING:
    from doctune.capacity.client import Message
    from doctune.capacity.measure import Measurement, Stage
    from doctune.capacity.sizing import Size
    from doctune.capacity.targets import Target

KEY_VARIABLE = "DOCTUNE_API_KEY"
LATEST_BENCH = Path(".doctune") / "bench.json"
_DEFAULT_SLO = "ttft_p95=1s,e2e_p95=8s"
_LOGGED = 500  # predictions

bench = typer.Typer(help="Measure the load that an endpoint can carry.", no_args_is_help=True)
app.add_typer(bench, name="bench")


@bench.command("endpoint")
def bench_endpoint(
    name: Annotated[
        str, typer.Argument(help="Endpoint; default: that of vertex_config.yaml.")
    ] = "",
    url: Annotated[
        str,
        typer.Option(
            help="An OpenAI-compatible address instead, http://HOST/v1#MODEL: the gateway or a "
            f"model server. Its key comes by {KEY_VARIABLE}."
        ),
    ] = "",
    prompts: Annotated[
        Path | None, typer.Option(help="JSONL: a test set, or objects with question or prompt.")
    ] = None,
    from_log: Annotated[
        bool, typer.Option("--from-log", help="Use the latest questions in the gateway's log.")
    ] = False,
    slo: Annotated[str, typer.Option(help="Latency objectives.")] = _DEFAULT_SLO,
    rates: Annotated[
        str, typer.Option(help="Requests per second, such as 1,2,4; default: doubling.")
    ] = "",
    seconds: Annotated[float, typer.Option(min=1, help="Seconds per rate.")] = 20.0,
    max_tokens: Annotated[int, typer.Option(min=1, help="Maximum tokens per answer.")] = 64,
    seed: Annotated[int, typer.Option(help="The same seed gives the same arrivals.")] = 0,
    machine: Annotated[str, typer.Option(help="Machine of the server; default: this one.")] = "",
    cpus: Annotated[
        int, typer.Option(min=0, help="CPU cores of the server; 0: this machine's.")
    ] = 0,
    parameters: Annotated[
        float, typer.Option(min=0, help="Parameter count of the model, such as 135e6, for sizing.")
    ] = 0.0,
    engine: Annotated[str, typer.Option(help="Engine of the server, for the record.")] = "native",
    precision: Annotated[str, typer.Option(help="Its precision, for the record.")] = "float32",
    out: Annotated[Path | None, typer.Option(help="HTML file to write.")] = None,
    local: Local = True,
    impersonate: Impersonate = "",
    as_json: AsJson = False,
) -> None:
    """Measure an endpoint under rising open-loop load: latency, tokens, errors, goodput, knee.

    The result is stored for `doctune size`.
    """
    from doctune.capacity.bench import BenchOptions, Subject, measured
    from doctune.capacity.report import render
    from doctune.capacity.slo import parse_slo
    from doctune.files import write_json, write_text

    objectives = parse_slo(slo)
    options = BenchOptions(seconds=seconds, rates=_rates(rates), max_tokens=max_tokens, seed=seed)
    if name and url:
        raise UsageError("give an endpoint or --url, not both.")
    asked, source = _prompts(prompts, from_log)
    subject = Subject(
        name or url or load_vertex_settings().endpoint.name,
        machine=machine,
        cpus=cpus or len(os.sched_getaffinity(0)),
        parameters=round(parameters) or _parameters(),
        engine=engine,
        precision=precision,
    )
    shown = None if as_json else _show_stage
    with _target(name, url, local, impersonate) as target:
        result = measured(subject, target, asked, source, objectives, options, shown)
    write_json(ROOT / LATEST_BENCH, result.document())
    if out:
        write_text(out, render(result))
    if as_json:
        typer.echo(json.dumps(result.document()))
    else:
        _show_result(result, out)


@app.command("size")
def size_command(
    load: Annotated[str, typer.Option(help="Requests per second to carry, such as 20rps.")],
    slo: Annotated[str, typer.Option(help="The times to keep.")] = _DEFAULT_SLO,
    measured: Annotated[
        Path | None,
        typer.Option(help="JSON of `doctune bench endpoint --json`; default: the last one here."),
    ] = None,
    profile: Annotated[str, typer.Option(help="Profile to use; default: the cheapest.")] = "",
    only_measured: Annotated[
        bool, typer.Option("--only-measured", help="Leave out GPUs, whose figures are estimates.")
    ] = False,
    environment: Annotated[
        str,
        typer.Option(
            "--write", metavar="NAME", help="Write config/environments/NAME/vertex_config.yaml."
        ),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Recommend profile, number of replicas and engine for a load, with their cost."""
    from doctune.capacity.sizing import check_slo, size
    from doctune.capacity.slo import parse_rate, parse_slo
    from doctune.compute.prices import load_prices

    rate, objectives = parse_rate(load), parse_slo(slo)
    measurement = _measurement(measured)
    check_slo(measurement, objectives)
    prices = load_prices()
    profiles = load_vertex_settings().profiles
    if only_measured:
        profiles = {n: one for n, one in profiles.items() if not one.accelerator_type}
    sizes = size(measurement, profiles, prices, rate)
    chosen = _chosen(sizes, profile)
    written = _write_environment(environment, chosen) if environment else None
    if as_json:
        document = {
            "load": rate,
            "slo": str(objectives),
            "currency": prices.currency,
            "prices_of": prices.date.isoformat(),
            "region": prices.region,
            "chosen": asdict(chosen),
            "sizes": [asdict(one) for one in sizes],
            "written": str(written) if written else "",
        }
        typer.echo(json.dumps(document))
        return
    _show_sizes(sizes, chosen, prices.currency)
    console = Console()
    console.print(
        f"Prices of {prices.date.isoformat()} in {prices.region} (prices.yaml), on demand.",
        highlight=False,
    )
    if written:
        console.print(
            f"Written to {written}. Compile with it: python compile.py --environment {environment}",
            highlight=False,
            soft_wrap=True,
        )


def _rates(text: str) -> tuple[float, ...]:
    from doctune.capacity.slo import parse_rate

    return tuple(parse_rate(part) for part in text.split(",")) if text else ()


def _prompts(path: Path | None, from_log: bool) -> tuple[list[list[Message]], str]:
    from doctune.capacity.prompts import questions, read_prompts

    if path and from_log:
        raise UsageError("give --prompts or --from-log, not both.")
    if path:
        return read_prompts(path), path.name
    if not from_log:
        question = load_settings().question
        return [[{"role": "user", "content": question}]], "question of config.yaml"
    from doctune.database.usage import latest_predictions
    from doctune.gateway.server import surroundings

    rows = latest_predictions(surroundings().engine, datetime(1970, 1, 1, tzinfo=UTC), _LOGGED)
    asked = [turns for row in rows if (turns := questions(row.messages or []))]
    if not asked:
        raise UsageError("the prediction log holds no questions: give --prompts FILE.")
    return asked, f"{len(asked)} questions of the prediction log"


class _target:  # noqa: N801 - used as a context manager
    """Opens what is asked for the block."""

    def __init__(self, name: str, url: str, local: bool, impersonate: str) -> None:
        self._name, self._url = name, url
        self._session = vertex_session(local, impersonate) if not url else None

    def __enter__(self) -> Target:
        from doctune.capacity.targets import AddressTarget, EndpointTarget

        if self._session is None:
            return AddressTarget(self._url, os.environ.get(KEY_VARIABLE, ""))
        from doctune.vertex.serving_state import EndpointReader

        settings = self._session.__enter__()
        reader = EndpointReader(settings.project, settings.location)
        return EndpointTarget(self._name or settings.endpoint.name, reader)

    def __exit__(self, *error: Any) -> None:
        if self._session is not None:
            self._session.__exit__(*error)


def _parameters() -> int:
    """Returns the parameter count of the bundled model, if that is the base model."""
    from doctune.inference.base_model import DEFAULT_BASE_MODEL

    name = load_settings().training.base_model
    return 134_515_008 if name.lower() == DEFAULT_BASE_MODEL else 0


def _measurement(path: Path | None) -> Measurement:
    from doctune.capacity.measure import measurement_from

    source = path or ROOT / LATEST_BENCH
    if not source.is_file():
        raise UsageError(f"{source} is missing: run `doctune bench endpoint` first.")
    try:
        return measurement_from(json.loads(source.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{source} is no measurement of `doctune bench endpoint`.") from error


def _chosen(sizes: list[Size], profile: str) -> Size:
    from doctune.errors import DeploymentError

    if profile:
        named = next((one for one in sizes if one.profile == profile), None)
        if named is None:
            known = ", ".join(one.profile for one in sizes)
            raise UsageError(f"there is no profile {profile} here; there are {known}.")
        if not named.fits:
            raise DeploymentError(f"{profile} does not carry the load: {named.reason}.")
        return named
    if not sizes or not sizes[0].fits:
        raise DeploymentError(
            "no profile keeps the objectives: "
            + "; ".join(f"{one.profile}: {one.reason}" for one in sizes[:3])
            + "."
        )
    return sizes[0]


def _write_environment(name: str, chosen: Size) -> Path:
    from doctune.capacity.sizing import settings_of
    from doctune.files import write_text

    if not name.replace("-", "").replace("_", "").isalnum():
        raise UsageError(f"--write {name}: a name has letters, digits, - and _ alone.")
    path = config_folder() / "environments" / name / "vertex_config.yaml"
    if path.exists():
        raise UsageError(f"{path} is there already: give another name, or remove it.")
    text = f"# Written by doctune size: {chosen.source}; may be off by {chosen.error:.0%}.\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text + yaml.safe_dump(settings_of(chosen), sort_keys=False))
    return path


def _show_stage(stage: Stage) -> None:
    errors = sum(stage.errors.values())
    typer.echo(
        f"{stage.rate:7.2f} requests/s ({stage.requests} came): "
        f"{stage.answered_rate:.2f} answered, "
        f"{stage.goodput:.2f} within the objectives, {stage.tokens_rate:.0f} tokens/s; first token "
        f"{stage.ttft.p50:.2f} / {stage.ttft.p90:.2f} / {stage.ttft.p99:.2f} s, whole answer "
        f"{stage.e2e.p50:.2f} / {stage.e2e.p90:.2f} / {stage.e2e.p99:.2f} s (p50 / p90 / p99)"
        f"{f', {errors} errors' if errors else ''}"
        f"{'; saturated' if stage.saturated else ''}"
    )


def _show_result(result: Measurement, out: Path | None) -> None:
    typer.echo(
        f"Alone, a question takes {result.alone.e2e.p50:.2f} s, its first token "
        f"{result.alone.ttft.p50:.2f} s. {result.slo} holds up to {result.capacity:.2f} requests/s;"
        f" the knee is at {result.knee:.2f}; at most {result.tokens_rate:.0f} tokens/s."
    )
    if out:
        typer.echo(f"Curves written to {out}.")


def _show_sizes(sizes: list[Size], chosen: Size, currency: str) -> None:
    columns = ["", "profile", "engine", "requests/s", "replicas", f"{currency} a month"]
    columns += ["per M tokens", "per 1,000 answers", "scale at", "known by"]
    table = Table(*columns, box=None, pad_edge=False)
    for one in sizes:
        if not one.fits:
            table.add_row("", one.profile, one.engine, "", "", "", "", "", "", one.reason)
            continue
        known = "measured" if one.measured else f"ESTIMATE (+-{one.error:.0%})"
        table.add_row(
            ">" if one is chosen else "",
            one.profile,
            f"{one.engine} {one.precision}",
            f"{one.rate:.2f}",
            f"{one.replicas} to {one.max_replicas}",
            f"{one.month:,.0f}",
            f"{one.per_million_tokens:.2f}",
            f"{one.per_thousand_answers:.3f}",
            f"{one.scale_at}% {one.scale_on}",
            known,
        )
    console = Console(width=160)
    console.print(table)
    for source in dict.fromkeys(one.source for one in sizes if one.fits):
        console.print(f"* {source}", highlight=False, soft_wrap=True)
