"""Renders a self-contained HTML report: verdict, intervals, slices, examples, steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from pathlib import Path

from jinja2 import Environment
from markupsafe import Markup

from doctune.database.engine import Engine
from doctune.database.experiments import Decided, decisions_of, get_experiment
from doctune.database.exposures import example_pairs
from doctune.experiments.analysis import evaluate
from doctune.experiments.plan import Plan
from doctune.experiments.slices import slices_of
from doctune.experiments.sources import DatabaseSource, scope_of
from doctune.experiments.status import row_of, standing_of

_MOST_EXAMPLES = 2000  # of the log that are looked through
_MOST_PAIRS = 10
_MOST_CHARACTERS = 600
_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 720, 240, 60, 24


@dataclass(frozen=True)
class Pair:
    """The answers of both arms to one question."""

    question: str
    arm: str
    control: str
    treatment: str
    alike: float


def render_report(engine: Engine, name: str) -> str:
    """Returns the page.

    Raises:
        UsageError: There is no such experiment.
    """
    state = get_experiment(engine, name)
    plan = Plan.model_validate(state.plan)
    started = state.started_at or state.created_at
    known = evaluate(plan, DatabaseSource(engine, plan, started), metrics=tuple(plan.metrics))
    steps = decisions_of(engine, name)
    decisive = [step for step in steps if step.action == "end"] or steps[-1:]
    environment = Environment(autoescape=True, trim_blocks=True)
    environment.filters["number"] = _number
    template = environment.from_string(
        (Path(__file__).parent / "report.html").read_text(encoding="utf-8")
    )
    return template.render(
        now=standing_of(engine, name),
        sentence=decisive[-1].sentence if decisive else "It has not begun.",
        metric=plan.metric,
        plot=plot_of(steps, plan),
        rows=[row_of(asdict(found)) for found in known.findings],
        slices=slices_of(engine, plan, started),
        pairs=most_different(engine, plan),
        steps=[step for step in steps if step.action != "hold"],
    )


def most_different(engine: Engine, plan: Plan) -> list[Pair]:
    """Returns the answers to the same questions that differ most between the arms."""
    by_question: dict[str, dict[str, str]] = {}
    for row in example_pairs(engine, scope_of(plan), _MOST_EXAMPLES):
        by_question.setdefault(row["question"], {}).setdefault(row["arm"], row["answer"])
    pairs = []
    for question, answers in by_question.items():
        control = answers.get(plan.control)
        for arm in plan.treatments:
            treatment = answers.get(arm)
            if control is None or treatment is None:
                continue
            if control == treatment:
                continue
            texts = control[:_MOST_CHARACTERS], treatment[:_MOST_CHARACTERS]
            alike = SequenceMatcher(None, *texts).ratio()
            pairs.append(Pair(question[:_MOST_CHARACTERS], arm, *texts, alike))
    return sorted(pairs, key=lambda pair: (pair.alike, pair.question))[:_MOST_PAIRS]


def plot_of(steps: Sequence[Decided], plan: Plan) -> Markup:
    """Returns the primary metric's interval over time as SVG, for the first treatment."""
    points = []
    for step in steps:
        for found in step.numbers.get("findings", ()):
            wanted = found["metric"] == plan.metric and found["arm"] == plan.treatments[0]
            if wanted and found["effect"] is not None:
                moment = step.decided_at.timestamp()
                points.append((moment, found["lower"], found["effect"], found["upper"]))
    if len(points) < 2:
        return Markup("")
    # The first intervals are too wide to be informative.
    reach = max(abs(number) for point in points[len(points) // 3 :] for number in point[1:]) or 1.0
    first, last = points[0][0], points[-1][0]

    def x(moment: float) -> float:
        return _LEFT + (moment - first) / max(last - first, 1e-9) * (_WIDTH - _LEFT - 10)

    def y(value: float) -> float:
        inside = max(-reach, min(reach, value))
        return (_HEIGHT - _BOTTOM) / 2 * (1 - inside / reach) + 6

    upper = [f"{x(p[0]):.1f},{y(p[3]):.1f}" for p in points]
    lower = [f"{x(p[0]):.1f},{y(p[1]):.1f}" for p in reversed(points)]
    line = " ".join(f"{x(p[0]):.1f},{y(p[2]):.1f}" for p in points)
    label = (
        f"{plan.metric}: {points[-1][2]:.3g}, {points[-1][1]:.3g} to {points[-1][3]:.3g} at last"
    )
    return Markup(
        '<svg viewBox="0 0 {w} {h}" role="img" aria-label="{label}">'
        '<polygon class="band" points="{band}"/><polyline class="line" points="{line}"/>'
        '<line class="zero" x1="{left}" x2="{w}" y1="{zero:.1f}" y2="{zero:.1f}"/>'
        '<text x="2" y="{top:.1f}">{high}</text><text x="2" y="{zero:.1f}">0</text>'
        '<text x="2" y="{bottom:.1f}">{low}</text></svg>'
    ).format(
        w=_WIDTH,
        h=_HEIGHT,
        label=label,
        band=" ".join(upper + lower),
        line=line,
        left=_LEFT,
        zero=y(0.0),
        top=y(reach) + 8,
        bottom=y(-reach),
        high=f"{reach:+.2g}",
        low=f"{-reach:+.2g}",
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
