"""What an assignment costs, and the analysis of many exposures.

    python benchmarks/experiments.py [--json] [--exposures 10000000] [--users 1000000]

The exposures are made up and written to Parquet first, which is not counted. Their analysis, all
metrics that experiments.yaml could ask of them, runs in a process of its own, whose wall time, CPU
time and greatest memory are reported.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

_CHUNK = 1_000_000
_EXPERIMENT = "bench"


@dataclass(frozen=True)
class Figures:
    """What was measured."""

    assignment_us: float
    assignment_cpu_us: float
    exposures: int
    users: int
    parquet_mib: float
    analysis_seconds: float
    analysis_cpu_seconds: float
    analysis_mib: float


def measure_assignment(times: int = 200_000) -> tuple[float, float]:
    """Returns the wall and CPU microseconds of an assignment within a layer, with a holdout."""
    from doctune.experiments.assignment import Allocation, assign

    shares = {"control": 2500, "treatment": 2500}
    allocation = Allocation("salt", tuple(shares), shares, slot=(0, 9000), holdout=100)
    units = [f"user:acme:{number:064x}" for number in range(times)]
    wall, cpu = time.perf_counter(), time.process_time()
    for unit in units:
        assign(allocation, unit)
    return (
        (time.perf_counter() - wall) / times * 1e6,
        (time.process_time() - cpu) / times * 1e6,
    )


def write_exposures(path: Path, exposures: int, users: int) -> None:
    """Writes exposures of users of very unequal activity."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    schema = pa.schema(
        [
            ("experiment", pa.dictionary(pa.int32(), pa.string())),
            ("arm", pa.dictionary(pa.int32(), pa.string())),
            ("unit", pa.string()),
            ("thumbs_up", pa.int8()),
            ("rated", pa.int8()),
            ("answer_total_ms", pa.float64()),
        ]
    )
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for start in range(0, exposures, _CHUNK):
            size = min(_CHUNK, exposures - start)
            # Cubing makes a few users send most of the requests.
            user = (users * rng.random(size) ** 3).astype(np.int64)
            rated = rng.random(size) < 0.3
            arm = pa.DictionaryArray.from_arrays(
                pa.array((user % 2).astype(np.int32)), ["control", "treatment"]
            )
            name = pa.DictionaryArray.from_arrays(pa.array(np.zeros(size, np.int32)), [_EXPERIMENT])
            columns = [
                name,
                arm,
                pa.array(np.char.add("user:acme:", user.astype(np.str_))),
                pa.array((rated & (rng.random(size) < 0.6)).astype(np.int8)),
                pa.array(rated.astype(np.int8)),
                pa.array(rng.lognormal(6, 0.7, size)),
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))


def analyse(path: str) -> dict[str, float]:
    """Analyses the exposures of a file; returns time and memory of this process."""
    from doctune.experiments.analysis import evaluate
    from doctune.experiments.options import QuantileMetric, SumMetric
    from doctune.experiments.plan import ArmPlan, Plan
    from doctune.experiments.sources import ParquetSource

    helpful = SumMetric(
        kind="share", numerator="thumbs_up", denominator="rated", better="higher", margin=0.03
    )
    latency = QuantileMetric(
        kind="quantile", measure="total_ms", quantile=0.95, better="lower", relative_margin=0.2
    )
    plan = Plan(
        name=_EXPERIMENT,
        model="handbook",
        arms=(ArmPlan(name="control"), ArmPlan(name="treatment")),
        metric="helpful",
        guardrails=("latency_p95",),
        metrics={"helpful": helpful, "latency_p95": latency},
        ramp=(50,),
        salt="salt",
    )
    started = time.perf_counter()
    known = evaluate(plan, ParquetSource(path, _EXPERIMENT))
    assert all(found.effect is not None for found in known.findings)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "mib": usage.ru_maxrss / 1024,
        "users": float(sum(known.users.values())),
    }


def main() -> int:
    """Prints the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--exposures", type=int, default=10_000_000)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--analyse", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.analyse:
        print(json.dumps(analyse(given.analyse)))
        return 0
    wall, cpu = measure_assignment()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "exposures.parquet"
        write_exposures(path, given.exposures, given.users)
        command = [sys.executable, __file__, "--analyse", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=1800)
        measured = json.loads(done.stdout)
        size = path.stat().st_size / 2**20
    figures = Figures(
        assignment_us=round(wall, 2),
        assignment_cpu_us=round(cpu, 2),
        exposures=given.exposures,
        users=int(measured["users"]),
        parquet_mib=round(size, 1),
        analysis_seconds=round(measured["seconds"], 1),
        analysis_cpu_seconds=round(measured["cpu_seconds"], 1),
        analysis_mib=round(measured["mib"]),
    )
    if given.json:
        print(json.dumps(asdict(figures)))
    else:
        for name, value in asdict(figures).items():
            print(f"{name:<22}{value:>14,}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
