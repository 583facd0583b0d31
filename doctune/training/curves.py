"""The loss curve as one self-contained HTML page."""

import html
from pathlib import Path

from doctune.files import write_text
from doctune.training.history import TrainingHistory

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 760, 320, 56, 40, 16
_SMOOTHING = 0.9


def write_curves(history: TrainingHistory, path: Path, facts: dict[str, str]) -> None:
    """Writes the page: training and validation loss over steps, and a table of facts."""
    rows = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>"
        for name, value in facts.items()
    )
    write_text(
        path,
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>Training</title><style>"
        "body{font:15px system-ui,sans-serif;max-width:800px;margin:2rem auto;color:#222}"
        "th{text-align:left;padding:2px 16px 2px 0;font-weight:500}svg{width:100%}"
        ".axis{stroke:#999}.grid{stroke:#eee}.train{stroke:#9bb7d4;fill:none}"
        ".smooth{stroke:#2367a5;fill:none;stroke-width:2}"
        ".validation{stroke:#c4541b;fill:none;stroke-width:2}.dot{fill:#c4541b}"
        "text{font-size:12px;fill:#555}</style><h1>Training</h1>"
        f"{_chart(history)}<table>{rows}</table></html>\n",
    )


def _chart(history: TrainingHistory) -> str:
    steps = max(1, history.steps)
    highest = max([*history.train_losses, *(loss for _, loss in history.validations)]) * 1.05 or 1.0

    def point(step: float, loss: float) -> str:
        x = _LEFT + (_WIDTH - _LEFT - 10) * step / steps
        y = _TOP + (_HEIGHT - _BOTTOM - _TOP) * (1 - loss / highest)
        return f"{x:.1f},{y:.1f}"

    def line(values: list[tuple[float, float]], name: str) -> str:
        points = " ".join(point(step, loss) for step, loss in values)
        return f"<polyline class='{name}' points='{points}'/>"

    raw = [(float(step), loss) for step, loss in enumerate(history.train_losses, start=1)]
    smooth, average = [], history.train_losses[0] if history.train_losses else 0.0
    for step, loss in raw:
        average = _SMOOTHING * average + (1 - _SMOOTHING) * loss
        smooth.append((step, average))
    validations = [(float(step), loss) for step, loss in history.validations]
    dots = ""
    for step, loss in validations:
        x, y = point(step, loss).split(",")
        title = f"<title>step {step:.0f}: {loss:.4f}</title>"
        dots += f"<circle class='dot' r='3.5' cx='{x}' cy='{y}'>{title}</circle>"
    grid = ""
    for part in range(5):
        x, y = point(steps, highest * part / 4).split(",")
        grid += (
            f"<line class='grid' x1='{_LEFT}' x2='{x}' y1='{y}' y2='{y}'/>"
            f"<text x='{_LEFT - 8}' y='{float(y) + 4}' text-anchor='end'>"
            f"{highest * part / 4:.2f}</text>"
        )
        x, y = point(steps * part / 4, 0).split(",")
        grid += (
            f"<text x='{x}' y='{float(y) + 18}' text-anchor='middle'>{steps * part / 4:.0f}</text>"
        )
    return (
        f"<svg viewBox='0 0 {_WIDTH} {_HEIGHT}' role='img' aria-label='Loss over steps'>{grid}"
        f"{line(raw, 'train')}{line(smooth, 'smooth')}{line(validations, 'validation')}{dots}"
        f"<text x='{_WIDTH / 2}' y='{_HEIGHT - 4}' text-anchor='middle'>"
        "step (loss in nats a token: blue training, smoothed; orange validation)</text></svg>"
    )
