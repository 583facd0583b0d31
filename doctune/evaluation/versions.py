"""The primary metric over versions and time: a table and a page.

What is known of each version comes from the caller (the registry's evaluations); this module knows
nothing of Google Cloud.
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
    """One version of a model and its evaluation."""

    version: str
    created: str  # ISO 8601
    aliases: tuple[str, ...] = ()
    outcome: str = ""
    test_digest: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class VersionRow:
    """A version as a line of the table; None where the version was not evaluated."""

    version: str
    created: str
    aliases: str
    outcome: str
    value: float | None
    low: float | None
    high: float | None
    base: float | None
    comparable: bool  # of the same test set as the latest version


def version_rows(records: Sequence[VersionRecord], metric: str) -> list[VersionRow]:
    """Returns the versions in the order in which they were made.

    Raises:
        UsageError: There is no such metric.
    """
    if metric not in METRICS:
        raise UsageError(f'There is no metric "{metric}": choose one of {", ".join(METRICS)}.')
    ordered = sorted(records, key=lambda record: record.created)
    latest = next((r.test_digest for r in reversed(ordered) if r.test_digest), "")
    return [
        VersionRow(
            version=record.version,
            created=record.created,
            aliases=", ".join(record.aliases),
            outcome=record.outcome,
            value=_number(record, f"{metric}_tuned"),
            low=_number(record, f"{metric}_tuned_low"),
            high=_number(record, f"{metric}_tuned_high"),
            base=_number(record, f"{metric}_base"),
            comparable=record.test_digest == latest,
        )
        for record in ordered
    ]


def render_versions_markdown(records: Sequence[VersionRecord], metric: str) -> str:
    """Returns the table of versions as Markdown."""
    rows = version_rows(records, metric)
    info = METRICS[metric]
    lines = [
        f"| version | made | aliases | outcome | {info.title} | interval | base |",
        "|---|---|---|---|---:|---:|---:|",
    ]
    for row in rows:
        cells = [row.version, row.created, row.aliases, row.outcome, *_cells(info, row)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def render_versions(records: Sequence[VersionRecord], metric: str, *, model_name: str) -> str:
    """Returns a self-contained page: the metric over versions as a plot, and the table."""
    from jinja2 import Environment, PackageLoader

    environment = Environment(
        loader=PackageLoader("doctune.evaluation", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    rows = version_rows(records, metric)
    info = METRICS[metric]
    known = [(number + 1.0, row) for number, row in enumerate(rows) if row.value is not None]
    plot = plots.lines(
        {
            info.title: [(number, row.value or 0.0) for number, row in known],
            "lower end": [(number, _or_nan(row.low)) for number, row in known],
            "upper end": [(number, _or_nan(row.high)) for number, row in known],
            "base model": [(number, _or_nan(row.base)) for number, row in known],
        },
        x="version",
        label=f"{info.title} over versions",
    )
    return environment.get_template("versions.html").render(
        model_name=model_name,
        info=info,
        plot=plot,
        rows=[{"row": row, "cells": _cells(info, row)} for row in reversed(rows)],
    )


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
