"""What the gateway costs: doctune's beside LiteLLM's proxy, in front of the same model.

    python benchmarks/gateway.py            # tables
    python benchmarks/gateway.py --json     # and one last line of JSON
    python benchmarks/gateway.py --seconds 2 --without litellm localvertex

Each is one process on a core of its own; the load and the model that answers after a fixed time
(`gateway_upstream.py`) share another. Both check keys, count requests and tokens against limits,
check the request and write what was asked and answered: doctune to SQLite; LiteLLM, which keeps its
keys in Postgres only, by its `custom_auth` hook, its own limits and a callback that writes a line.
The overhead is the latency less the median latency of the model asked directly with as many
connections; that of the first token likewise, of streams. CPU is that of the process and its
children, by what was answered. Each measure is one closed loop: every connection asks again once it
is answered.

Then doctune's gateway is measured in front of an endpoint of the local Vertex AI that runs the same
model, and 10,000 requests at 128 connections ask with a key that may ask 2,500 times a minute and
with one whose tokens a day are limited: let through must be what the limits allow, to the request.

LiteLLM is installed on the first run into a virtual environment beside doctune's cache.
"""

import argparse
import contextlib
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.gateway_limits import exactness
from benchmarks.gateway_load import Load, run_load
from benchmarks.gateway_peers import MODEL, Peer, doctune_gateway, litellm_proxy, started
from benchmarks.gateway_vertex import local_endpoint
from doctune.localvertex.ports import free_port

CONNECTIONS = (1, 16, 128)
_WARM_UP_SECONDS = 1.5
_UPSTREAM = Path(__file__).with_name("gateway_upstream.py")

_Direct = dict[tuple[int, bool], Load]  # by connections, and whether streamed


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One closed loop."""

    peer: str
    connections: int
    stream: bool
    rps: float
    cpu_ms: float
    p50_overhead_ms: float
    p99_overhead_ms: float
    first_token_overhead_ms: float  # p50
    failed: int
    rss_mb: float


def main() -> int:
    """Measures and prints; 1 where a request failed or a limit was not exact."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measure")
    parser.add_argument("--requests", type=int, default=10_000, help="asked of limited keys")
    parser.add_argument("--json", action="store_true", help="print one last line of JSON")
    parser.add_argument("--without", nargs="*", choices=["litellm", "localvertex"], default=[])
    options = parser.parse_args()
    theirs, ours = _cores()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        port = free_port()
        command = [sys.executable, str(_UPSTREAM), str(port)]
        health = f"http://127.0.0.1:{port}/health"
        with started(command, folder, health, core=ours):
            if ours is not None:
                os.sched_setaffinity(0, {ours})
            upstream = f"http://127.0.0.1:{port}/v1"
            direct = _ask_directly(upstream, options.seconds)
            measures, limits = _all(folder, upstream, direct, options, theirs)
    _print(measures, direct, limits)
    summary = _summary(measures, limits)
    if options.json:
        print(json.dumps(summary))
    return 1 if summary["failed"] or not summary["limits_exact"] else 0


def _all(
    folder: Path,
    upstream: str,
    direct: _Direct,
    options: argparse.Namespace,
    core: int | None,
) -> tuple[list[Measure], dict[str, dict[str, int]]]:
    """Measures each side, one after another on the same core."""
    measures: list[Measure] = []
    with doctune_gateway(_fresh(folder, "ours"), f"{upstream}#mock", free_port(), core) as peer:
        measures += _measure(peer, direct, options.seconds)
    if "litellm" not in options.without:
        with litellm_proxy(_fresh(folder, "litellm"), upstream, free_port(), core) as peer:
            measures += _measure(peer, direct, options.seconds)
    if "localvertex" not in options.without:
        with contextlib.ExitStack() as stack:
            address, environment = stack.enter_context(
                local_endpoint(_fresh(folder, "vertex"), _UPSTREAM)
            )
            over = _fresh(folder, "over-vertex")
            peer = stack.enter_context(
                doctune_gateway(over, address, free_port(), core, environment=environment)
            )
            peer.name = "doctune through localvertex"
            measures += _measure(peer, direct, options.seconds)
    limits = exactness(
        _fresh(folder, "limits"), f"{upstream}#mock", free_port(), core, options.requests
    )
    return measures, limits


def _measure(peer: Peer, direct: _Direct, seconds: float) -> Iterator[Measure]:
    for stream in (False, True):
        _ask(peer, CONNECTIONS[1], stream, _WARM_UP_SECONDS)
        for connections in CONNECTIONS:
            before = peer.cpu_seconds()
            load = _ask(peer, connections, stream, seconds)
            used = peer.cpu_seconds() - before
            alone = direct[connections, stream]
            base = _quantile(alone.latencies, 50)
            first = _quantile(load.first_words, 50) - _quantile(alone.first_words, 50)
            yield Measure(
                peer=peer.name,
                connections=connections,
                stream=stream,
                rps=round(load.rate, 1),
                cpu_ms=round(1000 * used / max(1, load.answered), 3),
                p50_overhead_ms=round(1000 * (_quantile(load.latencies, 50) - base), 2),
                p99_overhead_ms=round(1000 * (_quantile(load.latencies, 99) - base), 2),
                first_token_overhead_ms=round(1000 * first, 2),
                failed=load.failed,
                rss_mb=round(peer.mebibytes(), 1),
            )


def _ask_directly(upstream: str, seconds: float) -> _Direct:
    """Returns what the model itself answers, by connections and streaming."""
    found = {}
    for stream in (False, True):
        for connections in CONNECTIONS:
            found[connections, stream] = run_load(
                upstream,
                "none",
                MODEL,
                connections=connections,
                stream=stream,
                seconds=min(2.0, seconds),
            )
    return found


def _ask(peer: Peer, connections: int, stream: bool, seconds: float) -> Load:
    return run_load(
        peer.url, peer.key, MODEL, connections=connections, stream=stream, seconds=seconds
    )


def _quantile(seconds: list[float], percent: int) -> float:
    if len(seconds) < 2:
        return float("nan")
    return statistics.quantiles(seconds, n=100, method="inclusive")[percent - 1]


def _summary(measures: list[Measure], limits: dict[str, dict[str, int]]) -> dict[str, object]:
    """Returns what the last line says; the plain names are at 16 connections, not streamed."""
    found = {(measure.peer, measure.connections, measure.stream): measure for measure in measures}
    summary: dict[str, object] = {}
    for prefix, peer in (
        ("", "doctune"),
        ("litellm_", "litellm"),
        ("localvertex_", "doctune through localvertex"),
    ):
        if (peer, 16, False) not in found:
            continue
        whole, streamed = found[peer, 16, False], found[peer, 16, True]
        summary |= {
            f"{prefix}cpu_ms": whole.cpu_ms,
            f"{prefix}rps_16": whole.rps,
            f"{prefix}p50_overhead_ms_16": whole.p50_overhead_ms,
            f"{prefix}p99_overhead_ms_16": whole.p99_overhead_ms,
            f"{prefix}rps_128": found[peer, 128, False].rps,
            f"{prefix}stream_cpu_ms": streamed.cpu_ms,
            f"{prefix}stream_p99_overhead_ms_16": streamed.p99_overhead_ms,
            f"{prefix}first_token_overhead_ms_1": found[peer, 1, True].first_token_overhead_ms,
            f"{prefix}first_token_overhead_ms_16": streamed.first_token_overhead_ms,
            f"{prefix}rss_mb": max(m.rss_mb for m in measures if m.peer == peer),
        }
    return summary | {
        "failed": sum(measure.failed for measure in measures),
        "limits": limits,
        "limits_exact": all(case["exact"] for case in limits.values()),
    }


def _print(
    measures: list[Measure],
    direct: _Direct,
    limits: dict[str, dict[str, int]],
) -> None:
    rows = [[str(value) for value in asdict(measure).values()] for measure in measures]
    rows.insert(0, list(Measure.__dataclass_fields__))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))
    for (connections, stream), load in direct.items():
        kind, median = "streamed" if stream else "whole", _quantile(load.latencies, 50)
        print(f"model alone, {connections} connections, {kind}: {1000 * median:.2f} ms")
    for name, case in limits.items():
        print(f"limit of {name}: {case}")


def _cores() -> tuple[int | None, int | None]:
    """Returns the core of what is measured, and that of the load and the model."""
    with contextlib.suppress(AttributeError):
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) > 1:
            return cores[0], cores[1]
    print("Nothing is pinned: there are not two cores to choose from.", file=sys.stderr)
    return None, None


def _fresh(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    return folder / name


if __name__ == "__main__":
    sys.exit(main())
