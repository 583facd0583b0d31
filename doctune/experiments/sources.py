"""The data of an analysis: from the gateway's database, or from exported Parquet files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from doctune.database.engine import Engine
from doctune.database.exposures import (
    ANSWER,
    Scope,
    answer_values,
    bad_requests,
    exposures_in_batches,
    user_sums,
    users_exposed,
)
from doctune.errors import UsageError
from doctune.experiments.moments import ArmValue, Moments
from doctune.experiments.options import Metric, QuantileMetric, SumMetric
from doctune.experiments.outages import Stretch, worst_stretch
from doctune.experiments.plan import Plan
from doctune.experiments.quantiles import REACH, quantile_error, quantile_value, rank_share
from doctune.feedback.request import FAITHFULNESS
from doctune.files import atomic_path
from doctune.knowledge.prompt import REFUSAL

_MILLION = 1_000_000.0
MEMORY_LIMIT = "768MB"


def scope_of(plan: Plan) -> Scope:
    """Returns the scope of an experiment's requests."""
    return Scope(
        experiment=plan.name,
        refusal=REFUSAL,
        faithfulness=FAITHFULNESS,
        prompt_price=plan.prices.prompt_tokens / _MILLION,
        completion_price=plan.prices.completion_tokens / _MILLION,
        shadow=plan.shadow,
    )


class DatabaseSource:
    """The gateway's log and feedback."""

    def __init__(self, engine: Engine, plan: Plan, started_at: datetime) -> None:
        """Prepares the queries.

        Args:
            started_at: Start of the experiment; CUPED uses the time before it.
        """
        self._engine, self._scope = engine, scope_of(plan)
        days = plan.rules.before_days
        start = started_at - timedelta(days=days)
        self._before = (
            replace(self._scope, before=(plan.model, start, started_at)) if days else None
        )

    def users(self) -> dict[str, int]:
        """Returns how many users each arm has had."""
        return users_exposed(self._engine, self._scope)

    def moments(self, metric: SumMetric) -> dict[str, Moments]:
        """Returns the moments of a metric in each arm."""
        measures = (metric.numerator, metric.denominator)
        rows = user_sums(self._engine, self._scope, measures)
        before: dict[str, tuple[float, ...]] = {}
        if self._before is not None:
            past = user_sums(self._engine, self._before, measures)
            before = {unit: sums for _, unit, sums in past}
        arms: dict[str, list[tuple[float, ...]]] = defaultdict(list)
        for arm, unit, sums in rows:
            arms[arm].append((*sums, *before.get(unit, (0.0, 0.0))))
        # If no user has a past, a denominator of 1 disables the covariate.
        return {arm: _moments(values, bool(before)) for arm, values in arms.items()}

    def quantiles(self, metric: QuantileMetric) -> dict[str, ArmValue]:
        """Returns a quantile in each arm."""
        values: dict[str, list[float]] = defaultdict(list)
        users: dict[str, list[int]] = defaultdict(list)
        numbers: dict[str, int] = {}
        for arm, unit, value in answer_values(self._engine, self._scope, metric.measure):
            values[arm].append(value)
            users[arm].append(numbers.setdefault(unit, len(numbers)))
        return {arm: quantile_value(values[arm], users[arm], metric.quantile) for arm in values}

    def without_worst(
        self, metric: Metric, arm: str, against: float, seconds: float
    ) -> tuple[DatabaseSource, Stretch] | None:
        """Returns this without the stretch that speaks most against an arm; None if none does."""
        measured: str | tuple[str, str]
        if isinstance(metric, QuantileMetric):
            measured = metric.measure
        else:
            measured = (metric.numerator, metric.denominator)
        lower = metric.better == "lower"
        bad = bad_requests(self._engine, self._scope, arm, measured, against, lower_is_better=lower)
        stretch = worst_stretch(bad, seconds)
        if stretch is None:
            return None
        other = copy(self)
        other._scope = replace(self._scope, left_out=(stretch.start, stretch.end))
        return other, stretch


class ParquetSource:
    """Exposures in Parquet files, one row per request: `experiment`, `arm`, `unit` and measures.

    Quantiles are computed from the `answer_...` columns that `write_exposures` makes. DuckDB
    aggregates within its memory limit, and spills to disk.
    """

    def __init__(self, files: str | Path, experiment: str, *, threads: int = 2) -> None:
        """Opens the files.

        Args:
            files: A file, or a glob pattern.

        Raises:
            UsageError: There is no such file, or it has no exposures.
        """
        import duckdb

        self._duckdb = duckdb
        self._connection = duckdb.connect(
            config={"memory_limit": MEMORY_LIMIT, "threads": str(threads)}
        )
        self._connection.execute("SET preserve_insertion_order = false")
        try:
            self._rows = self._connection.read_parquet(str(files)).filter(
                duckdb.ColumnExpression("experiment") == duckdb.ConstantExpression(experiment)
            )
            known = self._rows.columns
        except duckdb.Error as error:
            said = str(error).splitlines()[0]
            raise UsageError(
                f"the exposures {files} cannot be read: {said}. `doctune experiment export` writes "
                "them."
            ) from error
        if missing := {"arm", "unit"} - set(known):
            raise UsageError(f"{files} has no column {min(missing)}: it holds no exposures.")

    def users(self) -> dict[str, int]:
        """Returns how many users each arm has had."""
        counted: Any = self._rows.query(
            "requests",
            "SELECT arm, COUNT(*) FROM (SELECT DISTINCT arm, unit FROM requests) GROUP BY arm",
        )
        return dict(counted.fetchall())

    def moments(self, metric: SumMetric) -> dict[str, Moments]:
        """Returns the moments of a metric in each arm."""
        rows = self._columns(y=metric.numerator, x=metric.denominator).query(
            "requests",
            "SELECT arm, COUNT(*), AVG(y), AVG(x), VAR_SAMP(y), VAR_SAMP(x), COVAR_SAMP(y, x) "
            "FROM (SELECT arm, SUM(y)::DOUBLE AS y, SUM(x)::DOUBLE AS x FROM requests "
            "GROUP BY arm, unit) GROUP BY arm",
        )
        found = {}
        for arm, count, mean_y, mean_x, var_y, var_x, both in rows.fetchall():
            covariance = np.zeros((4, 4))
            covariance[:2, :2] = [[var_y, both], [both, var_x]]
            mean = np.array([mean_y, mean_x, 0.0, 1.0])
            found[arm] = Moments(np.asarray(float(count)), mean, covariance)
        return found

    def quantiles(self, metric: QuantileMetric) -> dict[str, ArmValue]:
        """Returns a quantile in each arm that has values."""
        rows = self._columns(v=f"{ANSWER}{metric.measure}").filter("v IS NOT NULL")
        arms = [arm for (arm,) in rows.select("arm").distinct().fetchall()]
        return {arm: self._quantile_of(rows, arm, metric.quantile) for arm in arms}

    def without_worst(self, metric: Metric, arm: str, against: float, seconds: float) -> None:
        """Returns None: the files have no times."""

    def _quantile_of(self, rows: Any, arm: str, quantile: float) -> ArmValue:
        duck = self._duckdb
        mine = rows.filter(duck.ColumnExpression("arm") == duck.ConstantExpression(arm))
        value = _quantiles(mine, [quantile])[0]
        known = duck.ConstantExpression(value).alias("q")
        row = (
            mine.select("unit", "v", known)
            .query(
                "requests",
                "SELECT COUNT(*), SUM(n), SUM(b), VAR_SAMP(n), VAR_SAMP(b), COVAR_SAMP(b, n) FROM "
                "(SELECT COUNT(v)::DOUBLE AS n, (COUNT(v) FILTER (v <= q))::DOUBLE AS b "
                "FROM requests GROUP BY unit HAVING COUNT(v) > 0)",
            )
            .fetchall()[0]
        )
        error = quantile_error(*(float(number or 0.0) for number in row))
        ranks = [rank_share(quantile + sign * REACH * error) for sign in (-1, 1)]
        low, high = _quantiles(mine, ranks)
        spread, users = (high - low) / (2 * REACH), float(row[0])
        return ArmValue(np.asarray(value), np.asarray(spread**2 * users), np.asarray(users))

    def _columns(self, **names: str) -> Any:
        duck = self._duckdb
        renamed = [duck.ColumnExpression(name).alias(short) for short, name in names.items()]
        return self._rows.select("arm", "unit", *renamed)


def write_exposures(engine: Engine, plan: Plan, path: Path) -> int:
    """Writes the exposures of an experiment to a Parquet file; returns their number.

    Raises:
        UsageError: The experiment has no exposures yet.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    written, writer = 0, None
    with atomic_path(path) as temporary:
        for batch in exposures_in_batches(engine, scope_of(plan)):
            table = pa.Table.from_pylist(batch)
            table = table.add_column(0, "experiment", pa.array([plan.name] * len(batch)))
            schema = pa.schema([(f.name, _exported(f.name)) for f in table.schema])
            writer = writer or pq.ParquetWriter(temporary, schema, compression="zstd")
            writer.write_table(table.cast(schema))
            written += len(batch)
        if writer is None:
            raise UsageError(f"{plan.name} has no exposures yet: there is nothing to export.")
        writer.close()
    return written


def _exported(name: str) -> Any:
    import pyarrow as pa

    if name in ("experiment", "arm"):
        return pa.dictionary(pa.int32(), pa.string())
    return pa.string() if name == "unit" else pa.float64()


def _quantiles(rows: Any, shares: Sequence[float]) -> list[float]:
    listed = ", ".join(repr(float(share)) for share in shares)
    return [
        float(value) for value in rows.aggregate(f"quantile_disc(v, [{listed}])").fetchall()[0][0]
    ]


def _moments(rows: Sequence[Sequence[float]], with_past: bool) -> Moments:
    columns = np.asarray(rows, dtype=np.float64)
    past: Mapping[str, np.ndarray] = (
        {"covariate": columns[:, 2], "covariate_denominator": columns[:, 3]} if with_past else {}
    )
    return Moments.of(columns[:, 0], columns[:, 1], **past)
