"""Renders a measurement as a self-contained HTML file: curves over the rate, and their table."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

from doctune.capacity.measure import Measurement, Stage

_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 460, 220, 52, 30
_COLOURS = ("#2563eb", "#d97706", "#dc2626")
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:1000px;margin:2rem auto;padding:0 1rem;"
    "color:#1f2937;background:#fff}table{border-collapse:collapse;width:100%;font-size:13px}"
    "th,td{text-align:right;padding:.3rem .5rem;border-bottom:1px solid #e5e7eb}"
    "figure{display:inline-block;margin:0 1rem 1rem 0}figcaption{font-weight:600}"
    ".key span{margin-right:1rem}svg text{font-size:11px;fill:currentColor}"
    "@media(prefers-color-scheme:dark){body{color:#e5e7eb;background:#111827}"
    "th,td{border-color:#374151}}"
)
_COLUMNS = (
    "requests/s",
    "answered/s",
    "good/s",
    "tokens/s",
    "first token p50",
    "p90",
    "p99",
    "token p50",
    "p99",
    "whole p50",
    "p90",
    "p99",
    "errors",
)


def render(measurement: Measurement) -> str:
    """Returns the page."""
    stages = sorted(measurement.stages, key=lambda stage: stage.rate)
    rows = "".join(_row(stage) for stage in stages)
    head = "".join(f"<th>{escape(column)}</th>" for column in _COLUMNS)
    charts = "".join(
        (
            _times("Seconds to the first token", stages, lambda s: s.ttft),
            _times("Seconds to the whole answer", stages, lambda s: s.e2e),
            _times("Seconds between tokens", stages, lambda s: s.per_token),
            _chart(
                "Answers a second",
                [
                    ("answered", [(s.rate, s.answered_rate) for s in stages]),
                    ("within the objectives", [(s.rate, s.goodput) for s in stages]),
                ],
            ),
        )
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>Load on {escape(measurement.target)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>Load on {escape(measurement.target)}</h1><p>{escape(_summary(measurement))}</p>"
        f"{charts}<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></body></html>"
    )


def _summary(one: Measurement) -> str:
    return (
        f"{one.date}, {one.machine}, {one.engine}, {one.precision}. Objectives {one.slo}: they "
        f"hold up to {one.capacity:.2f} requests a second; the server keeps up to "
        f"{one.knee:.2f} (the knee); at most {one.tokens_rate:.0f} tokens a second. Alone a "
        f"question takes {_seconds(one.alone.e2e.p50)}, its first token "
        f"{_seconds(one.alone.ttft.p50)}. Prompts: {one.prompts}, "
        f"{one.alone.prompt_tokens:.0f} tokens; answers of at most {one.max_tokens} tokens. "
        "Poisson arrivals; times count from when a user asked."
    )


def _row(stage: Stage) -> str:
    times = [stage.ttft.p50, stage.ttft.p90, stage.ttft.p99, stage.per_token.p50]
    times += [stage.per_token.p99, stage.e2e.p50, stage.e2e.p90, stage.e2e.p99]
    errors = ", ".join(f"{count} x {what}" for what, count in stage.errors.items()) or "0"
    cells = [f"{stage.rate:.2f}", f"{stage.answered_rate:.2f}", f"{stage.goodput:.2f}"]
    cells += [f"{stage.tokens_rate:.0f}", *map(_seconds, times), errors]
    return f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"


def _seconds(value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"


def _times(title: str, stages: Sequence[Stage], of: Callable[[Stage], object]) -> str:
    lines = [
        (name, [(stage.rate, float(getattr(of(stage), name))) for stage in stages])
        for name in ("p50", "p90", "p99")
    ]
    return _chart(title, lines)


def _chart(title: str, lines: Sequence[tuple[str, list[tuple[float, float]]]]) -> str:
    known = [(x, y) for _, points in lines for x, y in points if not math.isnan(y)]
    most_x = max((x for x, _ in known), default=1.0) or 1.0
    most_y = max((y for _, y in known), default=1.0) or 1.0

    def at(x: float, y: float) -> str:
        across = _LEFT + (_WIDTH - _LEFT - 10) * x / most_x
        down = _HEIGHT - _BOTTOM - (_HEIGHT - _BOTTOM - 10) * y / most_y
        return f"{across:.1f},{down:.1f}"

    drawn = "".join(
        f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="'
        f'{" ".join(at(x, y) for x, y in points if not math.isnan(y))}"/>'
        for (_, points), colour in zip(lines, _COLOURS, strict=False)
    )
    key = "".join(
        f'<span style="color:{colour}">{escape(name)}</span>'
        for (name, _), colour in zip(lines, _COLOURS, strict=False)
    )
    floor, right = _HEIGHT - _BOTTOM, _WIDTH - 10
    return (
        f'<figure><figcaption>{escape(title)}</figcaption><svg width="{_WIDTH}" '
        f'height="{_HEIGHT}" role="img" aria-label="{escape(title)}">'
        f'<path d="M{_LEFT},10V{floor}H{right}" fill="none" stroke="currentColor"/>'
        f'<text x="4" y="16">{most_y:.3g}</text><text x="40" y="{floor}">0</text>'
        f'<text x="{right - 110}" y="{_HEIGHT - 10}">{most_x:.3g} requests/s</text>'
        f'{drawn}</svg><div class="key">{key}</div></figure>'
    )
