"""What the pages are drawn with."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

Fact = dict[str, Any]
WIDTH, HEIGHT = A4
PROSE = (
    "The pump starts when the pressure in the tank falls below the lower limit.",
    "It stops again as soon as the upper limit is reached, and not before.",
    "Between the two limits nothing happens at all, whatever the valve may do.",
    "A fitter who hears the pump run for longer than an hour looks for a leak.",
)


def present(text: str) -> Fact:
    return {"type": "present", "text": text}


def absent(text: str) -> Fact:
    return {"type": "absent", "text": text}


def order(before: str, after: str) -> Fact:
    return {"type": "order", "before": before, "after": after}


def cell(text: str, **around: str) -> Fact:
    return {"type": "table", "cell": text, **around}


class Sheet:
    """A page that is being drawn; places are in points from the top left corner."""

    def __init__(self, path: Path) -> None:
        self.canvas = Canvas(str(path), pagesize=A4, invariant=1)

    def write(
        self, x: float, y: float, text: str, size: float = 10, font: str = "Helvetica"
    ) -> None:
        self.canvas.setFont(font, size)
        self.canvas.drawString(x, HEIGHT - y, text)

    def centre(
        self, x: float, y: float, text: str, size: float = 10, font: str = "Helvetica"
    ) -> None:
        self.canvas.setFont(font, size)
        self.canvas.drawCentredString(x, HEIGHT - y, text)

    def prose(
        self,
        x: float,
        y: float,
        lines: Sequence[str] = PROSE,
        size: float = 10,
        font: str = "Helvetica",
    ) -> float:
        """Writes lines below each other; returns where the next would stand."""
        for number, line in enumerate(lines):
            self.write(x, y + 1.4 * size * number, line, size, font)
        return y + 1.4 * size * len(lines)

    def card(self, x: float, y: float, width: float, height: float, shade: float = 0.95) -> None:
        """A frame with round corners, filled with a light grey."""
        self.canvas.setFillGray(shade)
        self.canvas.roundRect(x, HEIGHT - y - height, width, height, 8, fill=1)
        self.canvas.setFillGray(0)

    def rule(self, x0: float, x1: float, y: float) -> None:
        self.canvas.line(x0, HEIGHT - y, x1, HEIGHT - y)

    def grid(
        self,
        x: float,
        y: float,
        widths: Sequence[float],
        rows: Sequence[Sequence[str]],
        step: float = 16,
    ) -> float:
        """Draws a table with all its rules; returns its bottom."""
        sides = [x + sum(widths[:number]) for number in range(len(widths) + 1)]
        bottom = y + step * len(rows)
        for number in range(len(rows) + 1):
            self.rule(sides[0], sides[-1], y + step * number)
        for side in sides:
            self.canvas.line(side, HEIGHT - y, side, HEIGHT - bottom)
        for r, row in enumerate(rows):
            for c, text in enumerate(row):
                self.centre((sides[c] + sides[c + 1]) / 2, y + step * r + 11, text, 9)
        return bottom

    def turn(self, angle: int, x: float, y: float) -> None:
        """From now on draws turned counter-clockwise about a place."""
        self.canvas.translate(x, HEIGHT - y)
        self.canvas.rotate(angle)
        self.canvas.translate(0, -HEIGHT)

    def picture(self, x: float, y: float, width: float, height: float) -> None:
        """A picture with many shades."""
        shades = ImageReader(Image.linear_gradient("L"))
        self.canvas.drawImage(shades, x, HEIGHT - y - height, width, height)

    def unseen(self, x: float, y: float, lines: Sequence[str], font: str = "Helvetica") -> None:
        """Text in the mode that shows nothing."""
        text = self.canvas.beginText(x, HEIGHT - y)
        text.setFont(font, 11)
        text.setTextRenderMode(3)
        for line in lines:
            text.textLine(line)
        self.canvas.drawText(text)
