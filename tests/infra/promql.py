"""Evaluates the part of PromQL that the alerts use, over recorded samples.

The queries are parsed by promql-parser, which refuses what Prometheus refuses; what is not known
here is an error, never a guess.
"""

import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import promql_parser as parser

Labels = frozenset[tuple[str, str]]
Vector = dict[Labels, float]
_LOOK_BACK = 300.0


@dataclass
class Recording:
    """Samples by name and labels, each with its time."""

    series: dict[tuple[str, Labels], list[tuple[float, float]]] = field(default_factory=dict)

    def add(self, at: float, name: str, labels: Mapping[str, str], value: float) -> None:
        self.series.setdefault((name, frozenset(labels.items())), []).append((at, value))

    def scrape(self, at: float, text: str) -> None:
        """Adds a page of /metrics."""
        from prometheus_client.parser import text_string_to_metric_families

        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                self.add(at, sample.name, sample.labels, sample.value)


def firing(query: str, recording: Recording, at: float) -> bool:
    """Returns whether a condition holds for any series."""
    value = evaluate(parser.parse(query), recording, at)
    return bool(value) if isinstance(value, dict) else True


def evaluate(node, recording: Recording, at: float):
    kind = type(node).__name__
    if kind == "ParenExpr":
        return evaluate(node.expr, recording, at)
    if kind == "NumberLiteral":
        return node.val
    if kind == "VectorSelector":
        found = _ranges(node, recording, at, _LOOK_BACK)
        return {labels: points[-1][1] for labels, points in found.items()}
    if kind == "AggregateExpr":
        return _aggregate(node, recording, at)
    if kind == "Call":
        return _call(node, recording, at)
    if kind == "BinaryExpr":
        return _binary(node, recording, at)
    raise NotImplementedError(kind)


def _ranges(selector, recording: Recording, at: float, seconds: float):
    found = {}
    for (name, labels), points in recording.series.items():
        inside = [(t, v) for t, v in points if at - seconds < t <= at]
        if name == selector.name and inside and _matches(selector.matchers, dict(labels)):
            found[labels] = inside
    return found


def _matches(matchers, labels: dict[str, str]) -> bool:
    tests: dict[str, Callable[[str, str], bool]] = {
        "MatchOp.Equal": lambda is_, wanted: is_ == wanted,
        "MatchOp.NotEqual": lambda is_, wanted: is_ != wanted,
        "MatchOp.Re": lambda is_, wanted: re.fullmatch(wanted, is_) is not None,
        "MatchOp.NotRe": lambda is_, wanted: re.fullmatch(wanted, is_) is None,
    }
    return all(tests[str(m.op)](labels.get(m.name, ""), m.value) for m in matchers.matchers)


def _increase(points: list[tuple[float, float]]) -> float:
    total = 0.0
    for (_, before), (_, now) in itertools.pairwise(points):
        total += now - before if now >= before else now  # a counter that began again
    return total


_OVER_TIME: dict[str, Callable[[list[tuple[float, float]]], float]] = {
    "increase": _increase,
    "rate": lambda points: _increase(points) / (points[-1][0] - points[0][0]),
    "avg_over_time": lambda points: sum(v for _, v in points) / len(points),
    "max_over_time": lambda points: max(v for _, v in points),
}


def _call(node, recording: Recording, at: float):
    name = node.func.name
    if name in _OVER_TIME:
        (matrix,) = node.args
        least = 2 if name in ("increase", "rate") else 1
        found = _ranges(matrix.vector_selector, recording, at, matrix.range.total_seconds())
        return {
            labels: _OVER_TIME[name](points)
            for labels, points in found.items()
            if len(points) >= least
        }
    values = [evaluate(argument, recording, at) for argument in node.args]
    if name == "vector":
        return {frozenset(): values[0]}
    if name == "abs":
        return {labels: abs(value) for labels, value in values[0].items()}
    if name == "histogram_quantile":
        return _quantile(values[0], values[1])
    raise NotImplementedError(name)


def _quantile(share: float, buckets: Vector) -> Vector:
    groups: dict[Labels, list[tuple[float, float]]] = {}
    for labels, value in buckets.items():
        rest = frozenset(pair for pair in labels if pair[0] != "le")
        groups.setdefault(rest, []).append((float(dict(labels)["le"]), value))
    found = {}
    for labels, bounds in groups.items():
        bounds.sort()
        total = bounds[-1][1]
        if not total:
            continue
        lower, below = 0.0, 0.0
        for bound, count in bounds:
            if count >= share * total:
                if bound == float("inf"):
                    found[labels] = lower
                else:
                    part = (share * total - below) / (count - below)
                    found[labels] = lower + (bound - lower) * part
                break
            lower, below = bound, count
    return found


def _aggregate(node, recording: Recording, at: float) -> Vector:
    vector = evaluate(node.expr, recording, at)
    if str(node.op) != "sum":
        raise NotImplementedError(str(node.op))
    by = set(node.modifier.labels) if node.modifier else set()
    sums: Vector = {}
    for labels, value in vector.items():
        kept = frozenset(pair for pair in labels if pair[0] in by)
        sums[kept] = sums.get(kept, 0.0) + value
    return sums


def _binary(node, recording: Recording, at: float):
    left, right = (evaluate(side, recording, at) for side in (node.lhs, node.rhs))
    op = str(node.op)
    if op == "or":
        return {**right, **left} if left else right
    if op == "and":
        return {labels: value for labels, value in left.items() if labels in right}
    paired = (
        {labels: (value, right[labels]) for labels, value in left.items() if labels in right}
        if isinstance(right, dict)
        else {labels: (value, right) for labels, value in left.items()}
    )
    if op == ">":
        return {labels: a for labels, (a, b) in paired.items() if a > b}
    if op == "<":
        return {labels: a for labels, (a, b) in paired.items() if a < b}
    if op == "/":
        return {labels: a / b for labels, (a, b) in paired.items() if b}
    if op == "-":
        return {labels: a - b for labels, (a, b) in paired.items()}
    raise NotImplementedError(op)
