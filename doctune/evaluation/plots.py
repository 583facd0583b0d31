"""Small plots as inline SVG without scripts, styled by the page's style sheet."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

WIDTH, HEIGHT = 640, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 14, 34


def whisker(value: float, low: float, high: float, reach: float, side: str) -> Markup:
    """Returns a point with its interval on an axis from -reach to reach with a line at zero."""
    width, middle = 160, 9

    def x(number: float) -> float:
        share = max(-1.0, min(1.0, number / reach)) if reach > 0 else 0.0
        return width / 2 + share * (width / 2 - 6)

    return Markup(
        '<svg class="whisker {side}" viewBox="0 0 {width} 18" role="img" aria-label="{label}">'
        '<line class="axis" x1="{zero}" y1="1" x2="{zero}" y2="17"/>'
        '<line class="bar" x1="{low:.1f}" y1="{middle}" x2="{high:.1f}" y2="{middle}"/>'
        '<circle cx="{value:.1f}" cy="{middle}" r="3.5"/></svg>'
    ).format(
        side=side,
        width=width,
        label=f"{value:.3g}, interval {low:.3g} to {high:.3g}",
        zero=width / 2,
        low=x(low),
        high=x(high),
        value=x(value),
        middle=middle,
    )


def histogram(values: Sequence[float], *, label: str, bins: int = 31) -> Markup:
    """Returns a histogram of differences: left of zero is worse, right is better."""
    finite = np.array([value for value in values if math.isfinite(value)])
    if not finite.size:
        return Markup("")
    reach = float(np.quantile(np.abs(finite), 0.99)) or 1.0
    edges = np.linspace(-reach, reach, bins + 1)
    counts, _ = np.histogram(np.clip(finite, -reach, reach), bins=edges)
    top = int(counts.max())
    plot_width, plot_height = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
    step = plot_width / bins
    bars = Markup("").join(
        Markup(
            '<rect class="{side}" x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}">'
            "<title>{count} from {low:.3g} to {high:.3g}</title></rect>"
        ).format(
            side=_side(float(edges[i] + edges[i + 1]) / 2, reach / bins),
            x=_LEFT + i * step,
            y=_TOP + plot_height * (1 - count / top),
            w=max(step - 1, 0.5),
            h=plot_height * count / top,
            count=int(count),
            low=float(edges[i]),
            high=float(edges[i + 1]),
        )
        for i, count in enumerate(counts)
    )
    ticks = [(-reach, "worse"), (0.0, ""), (reach, "better")]
    axis = _x_axis([(value, f"{value:.3g} {note}".strip()) for value, note in ticks], -reach, reach)
    return _figure(bars + axis + _y_label("0", 0.0) + _y_label(str(top), 1.0), label)


def _side(middle: float, tolerance: float) -> str:
    if abs(middle) <= tolerance:
        return "level"
    return "good" if middle > 0 else "bad"


def _x_axis(ticks: Sequence[tuple[float, str]], low: float, high: float) -> Markup:
    plot_width, base = WIDTH - _LEFT - _RIGHT, HEIGHT - _BOTTOM
    line = Markup('<line class="axis" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(
        _LEFT, base, WIDTH - _RIGHT, base
    )
    anchors = ["start", *["middle"] * (len(ticks) - 2), "end"]
    labels = Markup("").join(
        Markup('<text x="{:.1f}" y="{}" text-anchor="{}">{}</text>').format(
            _LEFT + plot_width * (value - low) / (high - low), base + 18, anchor, text
        )
        for anchor, (value, text) in zip(anchors, ticks, strict=True)
    )
    return line + labels


def _y_label(text: str, share: float) -> Markup:
    y = _TOP + (HEIGHT - _TOP - _BOTTOM) * (1 - share)
    return Markup('<text x="{}" y="{:.1f}" text-anchor="end">{}</text>').format(
        _LEFT - 6, y + 4, text
    )


def _figure(content: Markup, label: str) -> Markup:
    return Markup(
        '<div class="figure" tabindex="0" role="group" aria-label="{label}">'
        '<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{label}">{}</svg></div>'
    ).format(WIDTH, HEIGHT, content, label=label)


def lines(series: dict[str, Sequence[tuple[float, float]]], *, x: str, label: str) -> Markup:
    """Returns line plots with common axes and a legend.

    Args:
        series: Points (x, y) by name; values that are not finite are left out.
        x: Label of the x axis.
    """
    curves = {
        name: kept
        for name, points in series.items()
        if (kept := [point for point in points if all(map(math.isfinite, point))])
    }
    points = [point for kept in curves.values() for point in kept]
    if not points:
        return Markup("")
    left, right = min(p[0] for p in points), max(p[0] for p in points)
    low, high = min(0.0, *(p[1] for p in points)), max(p[1] for p in points)
    plot_width, plot_height = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
    drawn = Markup("").join(
        Markup('<polyline class="line series-{}" points="{}"><title>{}</title></polyline>').format(
            number % 4,
            " ".join(
                f"{_LEFT + plot_width * (px - left) / ((right - left) or 1):.1f},"
                f"{_TOP + plot_height * (1 - (py - low) / ((high - low) or 1)):.1f}"
                for px, py in kept
            ),
            name,
        )
        for number, (name, kept) in enumerate(curves.items())
    )
    axis = _x_axis([(left, f"{left:.4g}"), (right, f"{right:.4g} {x}")], left, right + 1e-9)
    figure = _figure(drawn + axis + _y_label(f"{low:.3g}", 0) + _y_label(f"{high:.3g}", 1), label)
    return figure + key(list(curves))


@dataclass(frozen=True, kw_only=True)
class Point:
    """One entry of an `intervals` plot; NaN is not drawn."""

    name: str
    note: str
    value: float
    low: float
    high: float
    other: float  # the value that it is compared with
    marked: bool  # whether it can be compared with the others


def intervals(points: Sequence[Point], *, digits: int, label: str) -> Markup:
    """Returns a plot of values with intervals, each with a comparison value (a dash)."""
    known = [
        number
        for point in points
        for number in (point.value, point.low, point.high, point.other)
        if math.isfinite(number)
    ]
    if not known:
        return Markup("")
    low, high = min(known), max(known)
    low, high = (low, high) if high > low else (low - 1, high + 1)
    step = (WIDTH - _LEFT - _RIGHT) / len(points)

    def y(number: float) -> float:
        return _TOP + (HEIGHT - _TOP - _BOTTOM - 8) * (1 - (number - low) / (high - low))

    every = max(1, math.ceil(len(points) * 72 / (WIDTH - _LEFT - _RIGHT)))
    drawn = Markup("").join(
        _interval(point, _LEFT + step * (number + 0.5), y, digits, named=number % every == 0)
        for number, point in enumerate(points)
    )
    base = HEIGHT - _BOTTOM
    axis = Markup('<line class="axis" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(
        _LEFT, base, WIDTH - _RIGHT, base
    )
    ends = Markup("").join(
        Markup('<text x="{}" y="{:.1f}" text-anchor="end">{:.{}f}</text>').format(
            _LEFT - 6, y(number) + 4, number, digits
        )
        for number in (low, high)
    )
    return _figure(axis + drawn + ends, label)


def _interval(
    point: Point, x: float, y: Callable[[float], float], digits: int, *, named: bool
) -> Markup:
    parts = []
    if math.isfinite(point.other):
        parts.append(
            Markup(
                '<line class="line series-0" x1="{:.1f}" y1="{y:.1f}" x2="{:.1f}" y2="{y:.1f}"/>'
            ).format(x - 9, x + 9, y=y(point.other))
        )
    if math.isfinite(point.low) and math.isfinite(point.high):
        parts.append(
            Markup('<line class="bar" x1="{x:.1f}" y1="{:.1f}" x2="{x:.1f}" y2="{:.1f}"/>').format(
                y(point.low), y(point.high), x=x
            )
        )
    if math.isfinite(point.value):
        parts.append(
            Markup('<circle cx="{:.1f}" cy="{:.1f}" r="4.5"><title>{}</title></circle>').format(
                x, y(point.value), f"{point.name}: {point.value:.{digits}f}"
            )
        )
    if named:
        parts.append(
            Markup(
                '<text x="{x:.1f}" y="{}" text-anchor="middle">{}</text>'
                '<text class="note" x="{x:.1f}" y="{}" text-anchor="middle">{}</text>'
            ).format(HEIGHT - _BOTTOM + 14, point.name, HEIGHT - _BOTTOM + 28, point.note, x=x)
        )
    side = "marked" if point.marked else "level"
    return Markup('<g class="{}">{}</g>').format(side, Markup("").join(parts))


def key(names: Sequence[str]) -> Markup:
    """Returns the legend of a line plot."""
    entries = Markup("").join(
        Markup(
            '<span><svg viewBox="0 0 24 10" aria-hidden="true"><line class="line series-{}" '
            'x1="0" y1="5" x2="24" y2="5"/></svg> {}</span>'
        ).format(number % 4, name)
        for number, name in enumerate(names)
    )
    return Markup('<p class="key dim">{}</p>').format(entries)


def cumulative(values: Sequence[float]) -> list[tuple[float, float]]:
    """Returns the points of the cumulative distribution."""
    ordered = sorted(value for value in values if math.isfinite(value))
    return [(0.0, 0.0)] + [(value, (i + 1) / len(ordered)) for i, value in enumerate(ordered)]
