"""The analysis of a hyperparameter search as one self-contained HTML page."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from doctune.files import write_text

_WIDTH, _HEIGHT, _MARGIN = 760, 280, 48
_COLOURS = {"complete": "#2367a5", "pruned": "#c9a227", "failed": "#b03030"}


class Trial(Protocol):
    """The attributes of a trial that the page shows."""

    @property
    def number(self) -> int: ...
    @property
    def parameters(self) -> dict[str, Any]: ...
    @property
    def state(self) -> str: ...
    @property
    def loss(self) -> float | None: ...
    @property
    def seconds(self) -> float: ...
    @property
    def reason(self) -> str: ...


def write_search_report(
    trials: Sequence[Trial], importance: Mapping[str, float], path: Path
) -> None:
    """Writes the page: history, parallel coordinates, importance, and all trials."""
    sections = {
        "History": _history(trials),
        "Parallel coordinates": _parallel_coordinates(trials),
        "Importance": _importance(importance),
        "Trials": _table(trials),
    }
    body = "".join(f"<h2>{title}</h2>{content}" for title, content in sections.items())
    write_text(
        path,
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>Hyperparameter search</title>"
        "<style>body{font:15px system-ui,sans-serif;max-width:820px;margin:2rem auto;color:#222}"
        "svg{width:100%}svg text{font-size:12px;fill:#555}td,th{padding:3px 12px 3px 0;"
        "text-align:left;vertical-align:top}line.axis{stroke:#999}.best td{font-weight:600}"
        f"</style><h1>Hyperparameter search</h1>{_summary(trials)}{body}</html>\n",
    )


def _summary(trials: Sequence[Trial]) -> str:
    counts = {state: sum(t.state == state for t in trials) for state in _COLOURS}
    legend = ", ".join(
        f"<b style='color:{_COLOURS[state]}'>{count} {state}</b>" for state, count in counts.items()
    )
    best = _best(trials)
    text = (
        "no trial gave a model" if best is None else f"best: trial {best.number}, {best.loss:.4f}"
    )
    return f"<p>{legend}; {text} (validation loss, nats a token).</p>"


def _best(trials: Sequence[Trial]) -> Trial | None:
    finished = [trial for trial in trials if trial.state == "complete" and trial.loss is not None]
    return min(finished, key=lambda trial: trial.loss or 0.0, default=None)


def _scale(values: Sequence[float], low: float, high: float) -> list[float]:
    """Scales numbers to low..high; equal ones go to the middle."""
    least, most = min(values), max(values)
    if most == least:
        return [(low + high) / 2] * len(values)
    return [low + (value - least) / (most - least) * (high - low) for value in values]


def _history(trials: Sequence[Trial]) -> str:
    shown = [trial for trial in trials if trial.loss is not None]
    if not shown:
        return "<p>No trial reported a loss.</p>"
    xs = _scale([trial.number for trial in shown], _MARGIN, _WIDTH - _MARGIN)
    ys = _scale([-(trial.loss or 0.0) for trial in shown], 20, _HEIGHT - 30)
    dots, best, line = "", math.inf, []
    for trial, x, y in zip(shown, xs, ys, strict=True):
        title = f"<title>trial {trial.number}: {trial.loss:.4f} ({trial.state})</title>"
        dots += f"<circle cx='{x:.1f}' cy='{y:.1f}' r='4' fill='{_COLOURS[trial.state]}'>{title}"
        dots += "</circle>"
        if trial.state == "complete" and (trial.loss or 0.0) < best:
            best = trial.loss or 0.0
            line.append(f"{x:.1f},{y:.1f}")
    losses = [trial.loss or 0.0 for trial in shown]
    ends = f"<text x='4' y='24'>{max(losses):.3f}</text>"
    ends += f"<text x='4' y='{_HEIGHT - 26}'>{min(losses):.3f}</text>"
    # The losses are negated, so the lowest is at the bottom of the page.
    path = f"<polyline points='{' '.join(line)}' fill='none' stroke='#2367a5'/>"
    return f"<svg viewBox='0 0 {_WIDTH} {_HEIGHT}'>{ends}{path}{dots}</svg>"


def _parallel_coordinates(trials: Sequence[Trial]) -> str:
    shown = [trial for trial in trials if trial.loss is not None and trial.parameters]
    if not shown:
        return "<p>No trial reported a loss.</p>"
    names = list(shown[0].parameters)
    columns: list[tuple[str, list[Any]]] = [
        (name, [trial.parameters[name] for trial in shown]) for name in names
    ]
    columns.append(("loss", [trial.loss for trial in shown]))
    xs = _scale(list(range(len(columns))), _MARGIN, _WIDTH - _MARGIN)
    heights, axes = [], ""
    for (name, values), x in zip(columns, xs, strict=True):
        numbers = _numbers(values)
        heights.append(_scale([-n for n in numbers], 30, _HEIGHT - 30))
        top, bottom = values[numbers.index(max(numbers))], values[numbers.index(min(numbers))]
        axes += f"<line class='axis' x1='{x:.0f}' x2='{x:.0f}' y1='30' y2='{_HEIGHT - 30}'/>"
        for label, y in ((name, 12), (_short(top), 26), (_short(bottom), _HEIGHT - 14)):
            text = html.escape(str(label))
            axes += f"<text x='{x:.0f}' y='{y}' text-anchor='middle'>{text}</text>"
    lines = ""
    for index, trial in enumerate(shown):
        points = " ".join(f"{x:.1f},{ys[index]:.1f}" for x, ys in zip(xs, heights, strict=True))
        lines += f"<polyline points='{points}' fill='none' stroke='{_COLOURS[trial.state]}' "
        lines += "stroke-opacity='.6'/>"
    return f"<svg viewBox='0 0 {_WIDTH} {_HEIGHT}'>{axes}{lines}</svg>"


def _numbers(values: Sequence[Any]) -> list[float]:
    if all(isinstance(value, int | float) for value in values):
        positive = min(values) > 0 and max(values) / min(values) > 20
        return [math.log(value) if positive else float(value) for value in values]
    order = sorted({str(value) for value in values})
    return [float(order.index(str(value))) for value in values]


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _importance(importance: Mapping[str, float]) -> str:
    if not importance:
        return "<p>Too few trials, or all have the same loss.</p>"
    rows = ""
    for name, share in sorted(importance.items(), key=lambda item: -item[1]):
        bar = f"<div style='background:#2367a5;height:12px;width:{300 * share:.0f}px'></div>"
        rows += f"<tr><td>{html.escape(name)}</td><td>{share:.0%}</td><td>{bar}</td></tr>"
    return f"<table>{rows}</table>"


def _table(trials: Sequence[Trial]) -> str:
    best = _best(trials)
    rows = ""
    for trial in trials:
        settings = ", ".join(f"{name} {_short(value)}" for name, value in trial.parameters.items())
        loss = "" if trial.loss is None else f"{trial.loss:.4f}"
        cells = (str(trial.number), trial.state, loss, f"{trial.seconds:.1f}", settings)
        row = "".join(f"<td>{html.escape(cell)}</td>" for cell in (*cells, trial.reason))
        rows += f"<tr{' class=best' if trial is best else ''}>{row}</tr>"
    heads = "".join(
        f"<th>{name}</th>" for name in ("Trial", "State", "Loss", "Seconds", "Settings", "Reason")
    )
    return f"<table><tr>{heads}</tr>{rows}</table>"
