"""The analysis as a self-contained page."""

from __future__ import annotations

from pathlib import Path

from doctune.feedback.analysis import Analysis

_TEMPLATES = Path(__file__).parent / "templates"


def render_report(analysis: Analysis) -> str:
    """Returns one HTML file that needs no network; what users wrote is text in it."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template("report.html").render(a=analysis)
