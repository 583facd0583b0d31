"""A table and a page of the primary metric over model versions.

The caller passes the versions with their evaluations; this module does not depend on Google Cloud.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from doctune.errors import UsageError
from doctune.evaluation import plots
from doctune.evaluation.catalog import METRICS, MetricInfo


@dataclass(frozen=True, kw_only=True)
class VersionRecord:
    """A version of a model, with one of its evaluations or none."""

    version: str
    created: str  # ISO 8601
    evaluated: str = ""  # ISO 8601
    aliases: tuple[str, ...] = ()
    outcome: str = ""
    test_digest: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)
    made_from: Mapping[str, str] = field(default_factory=dict)  # digests by what they are of
    feedback: frozenset[str] = frozenset()  # the items that its examples come from


@dataclass(frozen=True, kw_only=True)
class LiveRate:
    """How often people found a version's answers bad in one week, with the interval's ends."""

    version: str
    week: str  # 2026-W48
    bad: int
    of: int
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class VersionRow:
    """A version as a row of the table; numbers are None if it was not evaluated."""

    version: str
    created: str
    evaluated: str
    aliases: str
    outcome: str
    value: float | None
    low: float | None
    high: float | None
    base: float | None
    comparable: bool  # evaluated on the same test set as the latest evaluation
    changed: str  # what is another than the version's before


def version_rows(records: Sequence[VersionRecord], metric: str) -> list[VersionRow]:
    """Returns one row per version, oldest first.

    A version's evaluation on the test set of the overall latest evaluation is used, so that
    versions are comparable; if there is none, its own latest.

    Raises:
        UsageError: There is no such metric.
    """
    if metric not in METRICS:
        raise UsageError(f'There is no metric "{metric}": choose one of {", ".join(METRICS)}.')
    tested = [record for record in records if record.test_digest]
    latest = max(tested, key=_age).test_digest if tested else ""
    ordered = sorted(_one_each(records, latest), key=lambda record: record.created)
    return [
        VersionRow(
            version=record.version,
            created=record.created,
            evaluated=record.evaluated,
            aliases=", ".join(record.aliases),
            outcome=record.outcome,
            value=_number(record, f"{metric}_tuned"),
            low=_number(record, f"{metric}_tuned_low"),
            high=_number(record, f"{metric}_tuned_high"),
            base=_number(record, f"{metric}_base"),
            comparable=record.test_digest == latest,
            changed=_changed(ordered[at - 1], record) if at else "",
        )
        for at, record in enumerate(ordered)
    ]


def _changed(before: VersionRecord, record: VersionRecord) -> str:
    names = {**before.made_from, **record.made_from}
    changed = [n for n in names if before.made_from.get(n) != record.made_from.get(n)]
    new, gone = record.feedback - before.feedback, before.feedback - record.feedback
    if new or gone:
        counts = [f"{sign}{len(items)}" for sign, items in (("+", new), ("-", gone)) if items]
        changed.append(f"feedback ({' '.join(counts)})")
    return ", ".join(changed)


def _age(record: VersionRecord) -> tuple[str, str]:
    return record.evaluated, record.created


def _one_each(records: Sequence[VersionRecord], digest: str) -> list[VersionRecord]:
    chosen: dict[str, VersionRecord] = {record.version: record for record in records}
    for record in sorted(records, key=lambda one: (one.test_digest == digest, *_age(one))):
        chosen[record.version] = record
    return list(chosen.values())


def render_versions_markdown(records: Sequence[VersionRecord], metric: str) -> str:
    """Returns the table of versions as Markdown."""
    rows = version_rows(records, metric)
    info = METRICS[metric]
    lines = [
        f"| version | made | aliases | outcome | {info.title} | interval | base |",
        "|---|---|---|---|---:|---:|---:|",
    ]
    for row in rows:
        cells = [row.version, _minute(row.created), row.aliases, row.outcome, *_cells(info, row)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def render_versions(
    records: Sequence[VersionRecord],
    metric: str,
    *,
    model_name: str,
    live: Sequence[LiveRate] = (),
) -> str:
    """Returns a self-contained page: the metric over versions as a plot, and the table.

    Args:
        live: What people said of each version's answers, by week, in the order of time.
    """
    from jinja2 import Environment, PackageLoader

    environment = Environment(
        loader=PackageLoader("doctune.evaluation", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    rows = version_rows(records, metric)
    info = METRICS[metric]
    plot = plots.intervals(
        [
            plots.Point(
                name=row.version,
                note=row.created[:10],
                value=_or_nan(row.value),
                low=_or_nan(row.low),
                high=_or_nan(row.high),
                other=_or_nan(row.base),
                marked=row.comparable,
            )
            for row in rows
        ],
        digits=info.digits,
        label=f"{info.title} of each version, with its interval",
    )
    return environment.get_template("versions.html").render(
        model_name=model_name,
        info=info,
        plot=plot,
        live=live,
        live_plot=_live_plot(live),
        rows=[
            {
                "row": row,
                "created": _minute(row.created),
                "evaluated": _minute(row.evaluated),
                "cells": _cells(info, row),
            }
            for row in reversed(rows)
        ],
        feedback=[(one.version, sorted(one.feedback)) for one in reversed(records) if one.feedback],
    )


def _live_plot(live: Sequence[LiveRate]) -> str:
    return plots.intervals(
        [
            plots.Point(
                name=rate.version,
                note=rate.week,
                value=rate.bad / rate.of,
                low=rate.low,
                high=rate.high,
                other=math.nan,
                marked=True,
            )
            for rate in live
        ],
        digits=2,
        label="Share of bad answers of each version by week, with its interval",
    )


def _minute(moment: str) -> str:
    return moment[:16].replace("T", " ")


def _number(record: VersionRecord, name: str) -> float | None:
    value = record.scores.get(name)
    return value if value is not None and math.isfinite(value) else None


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _cells(info: MetricInfo, row: VersionRow) -> list[str]:
    def shown(value: float | None) -> str:
        return "" if value is None else f"{value:.{info.digits}f}"

    interval = (
        "" if row.low is None or row.high is None else f"{shown(row.low)} to {shown(row.high)}"
    )
    mark = "" if row.comparable or row.value is None else " (another test set)"
    return [shown(row.value) + mark, interval, shown(row.base)]
