"""The gateway while its database is away: answers go on, and the log catches up.

    python benchmarks/gateway_outage.py [--seconds 60] [--rate 10] [--json]

Requests keep coming while a real Postgres is stopped for so long and started again. None is
answered from the cache. Needs Postgres (Debian's package).
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

_CATCH_UP_SECONDS = 120


@dataclass
class Seen:
    """What came of the requests of one phase."""

    latencies: list[float] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    failed: int = 0


@dataclass(frozen=True)
class Outage:
    """What an outage did."""

    seconds: float
    asked: int
    failed: int
    p50_ms_before: float
    p50_ms_away: float
    p99_ms_away: float
    worst_ms_away: float
    ready_away: int  # the status of /readyz
    rows_waiting: int  # when the database came back
    catch_up_seconds: float
    rows_missing: int
    rows_twice: int


def main() -> int:
    """Measures and prints; 1 where a request failed or a row is missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="how long it is away")
    parser.add_argument("--rate", type=float, default=10.0, help="requests a second")
    parser.add_argument("--json", action="store_true", help="print one last line of JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        outage = _measure(Path(name), options.seconds, options.rate)
    for what, value in asdict(outage).items():
        print(f"{what.replace('_', ' ')}: {value}")
    if options.json:
        print(json.dumps(asdict(outage)))
    return 1 if outage.failed or outage.rows_missing or outage.rows_twice else 0


def _measure(folder: Path, seconds: float, rate: float) -> Outage:
    from doctune.localvertex.ports import free_port
    from tests.database.servers import postgres
    from tests.gateway.conftest import start_gateway, stop_gateway
    from tests.gateway.upstream import FakeUpstream

    folder.chmod(0o755)  # Postgres runs as a user of its own
    port = free_port()
    (folder / "gateway").mkdir()
    with ExitStack() as running, FakeUpstream.run() as upstream:
        url = running.enter_context(postgres(folder / "postgres", port))
        options = {"models": {"handbook": {"upstreams": [upstream.address]}}}
        gateway = start_gateway(folder / "gateway", options, url)
        try:
            before = asyncio.run(_load(gateway.url, gateway.headers(), min(10.0, seconds), rate))
            gateway.engine.dispose()
            running.close()  # Postgres ends
            away = asyncio.run(_load(gateway.url, gateway.headers(), seconds, rate))
            ready = httpx.get(f"{gateway.url}/readyz", timeout=30).status_code
            waiting = _waiting(gateway.get("/metrics").text)
            started = time.monotonic()
            with postgres(folder / "postgres", port):
                asked = before.ids + away.ids
                rows = _rows_when_written(gateway.engine, len(asked))
                caught_up = time.monotonic() - started
                gateway.engine.dispose()
        finally:
            stop_gateway(gateway)
    latencies = sorted(1000 * latency for latency in away.latencies)
    return Outage(
        seconds=seconds,
        asked=len(asked) + before.failed + away.failed,
        failed=before.failed + away.failed,
        p50_ms_before=round(1000 * statistics.median(before.latencies), 1),
        p50_ms_away=round(statistics.median(latencies), 1),
        p99_ms_away=round(statistics.quantiles(latencies, n=100)[98], 1),
        worst_ms_away=round(latencies[-1], 1),
        ready_away=ready,
        rows_waiting=waiting,
        catch_up_seconds=round(caught_up, 1),
        rows_missing=len(set(asked) - set(rows)),
        rows_twice=len(rows) - len(set(rows)),
    )


async def _load(url: str, headers: dict[str, str], seconds: float, rate: float) -> Seen:
    """Asks at a fixed rate, whatever the answers take."""
    seen, end = Seen(), time.monotonic() + seconds
    async with httpx.AsyncClient(headers=headers, timeout=30) as client:

        async def ask() -> None:
            message = {"role": "user", "content": "What does the pump have?"}
            body = {"model": "handbook", "messages": [message], "temperature": 1.0}
            started = time.monotonic()
            try:
                answer = await client.post(f"{url}/v1/chat/completions", json=body)
            except httpx.HTTPError:
                seen.failed += 1
                return
            if answer.status_code != 200:
                seen.failed += 1
                return
            seen.latencies.append(time.monotonic() - started)
            seen.ids.append(answer.json()["id"])

        tasks = []
        while time.monotonic() < end:
            tasks.append(asyncio.create_task(ask()))
            await asyncio.sleep(1 / rate)
        await asyncio.gather(*tasks)
    return seen


def _waiting(metrics: str) -> int:
    name = "doctune_gateway_log_waiting "
    return int(float(next(x for x in metrics.splitlines() if x.startswith(name)).split()[1]))


def _rows_when_written(engine, count: int) -> list[str]:  # type: ignore[no-untyped-def]
    from sqlalchemy import select
    from sqlalchemy.orm import Session

    from doctune.database.tables import Prediction

    deadline = time.monotonic() + _CATCH_UP_SECONDS
    while True:
        with Session(engine) as session:
            rows = list(session.scalars(select(Prediction.id)))
        if len(rows) >= count or time.monotonic() > deadline:
            return rows
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
