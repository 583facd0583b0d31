"""The drawings of the handbook, as flowables that take the width of their column."""

from collections.abc import Callable
from typing import Final

from reportlab.lib.colors import white
from reportlab.platypus import Flowable

from typography import ACCENT, RULE, SHADE


class LineDrawing(Flowable):
    """A drawing in a box of `design_width` by `design_height`, scaled to the column.

    Args:
        available: Width of the column, in points.
    """

    design_width = 320.0
    design_height = 170.0

    def __init__(self, available: float) -> None:
        super().__init__()
        self._scale = min(1.0, available / self.design_width)
        self.width = available
        self.height = self.design_height * self._scale

    def wrap(self, _width: float, _height: float) -> tuple[float, float]:
        return self.width, self.height

    def draw(self) -> None:
        self.canv.saveState()
        self.canv.translate((self.width - self.design_width * self._scale) / 2, 0)
        self.canv.scale(self._scale, self._scale)
        self.canv.setStrokeColor(ACCENT)
        self.canv.setFillColor(ACCENT)
        self.canv.setFont("Helvetica", 8.5)
        self.sketch()
        self.canv.restoreState()

    def sketch(self) -> None:
        """Draw in design units, origin at the lower left."""
        raise NotImplementedError

    def label(self, text: str, x: float, y: float, to: tuple[float, float]) -> None:
        """Write a label left-aligned at (x, y) with a thin line to what it names."""
        self.canv.setLineWidth(0.5)
        self.canv.setStrokeColor(RULE)
        self.canv.line(x - 3, y + 3, *to)
        self.canv.setStrokeColor(ACCENT)
        self.canv.drawString(x, y, text)

    def box(self, x: float, y: float, width: float, height: float, *, shaded: bool = True) -> None:
        self.canv.setLineWidth(1)
        self.canv.setFillColor(SHADE if shaded else white)
        self.canv.rect(x, y, width, height, stroke=1, fill=1)
        self.canv.setFillColor(ACCENT)


class CoverEmblem(LineDrawing):
    """Fog bands before a drape: the mark of the house."""

    design_height = 150.0

    def sketch(self) -> None:
        for band in range(7):
            y = 20 + band * 17
            path = self.canv.beginPath()
            path.moveTo(10, y)
            path.curveTo(80, y + 22, 130, y - 18, 200, y + 4)
            self.canv.setLineWidth(0.8 + band * 0.35)
            self.canv.drawPath(path)
        self.canv.setLineWidth(3)
        self.canv.line(215, 5, 215, 145)
        self.canv.line(305, 5, 305, 145)
        self.canv.setLineWidth(0.6)
        for step in range(12):
            self.canv.line(215 + step * 8, 30, 215 + step * 8, 138)
            self.canv.line(215, 30 + step * 9.6, 305, 30 + step * 9.6)
        self.box(211, 18, 98, 9)


class UnitFront(LineDrawing):
    """A unit seen from the windward side, with the names of its parts."""

    def sketch(self) -> None:
        canvas = self.canv
        canvas.setLineWidth(3)
        canvas.line(60, 8, 60, 162)
        canvas.line(170, 8, 170, 162)
        self.box(56, 148, 118, 10)
        canvas.setLineWidth(0.4)
        for step in range(13):
            canvas.line(66 + step * 8.2, 62, 66 + step * 8.2, 147)
        for step in range(10):
            canvas.line(64, 64 + step * 9, 166, 64 + step * 9)
        self.box(54, 48, 122, 10)
        self.box(92, 6, 46, 34)
        self.box(20, 60, 24, 32)
        canvas.setLineWidth(1)
        canvas.line(115, 48, 115, 40)
        canvas.circle(170, 166, 4, fill=1)
        self.label("haze eye", 205, 158, (176, 166))
        self.label("brail (roller)", 205, 138, (174, 152))
        self.label("drape", 205, 108, (166, 110))
        self.label("sill", 205, 62, (176, 54))
        self.label("cistern with tap", 205, 20, (138, 22))
        canvas.drawString(14, 96, "tollen")


class SillSection(LineDrawing):
    """The sill cut across: dry mark, rim and spout."""

    design_height = 130.0

    def sketch(self) -> None:
        canvas = self.canv
        canvas.setLineWidth(2)
        path = canvas.beginPath()
        path.moveTo(60, 115)
        path.lineTo(60, 50)
        path.lineTo(105, 35)
        path.lineTo(150, 50)
        path.lineTo(150, 115)
        canvas.drawPath(path)
        canvas.setDash(4, 3)
        canvas.setLineWidth(1)
        canvas.line(60, 85, 150, 85)
        canvas.setDash()
        canvas.rect(99, 12, 12, 24)
        canvas.line(40, 85, 40, 115)
        canvas.line(36, 85, 44, 85)
        canvas.line(36, 115, 44, 115)
        canvas.drawString(2, 97, "30 mm")
        self.label("rim", 190, 112, (150, 115))
        self.label("dry mark", 190, 82, (150, 85))
        self.label("sill heater (not on Nimbrel 3)", 190, 52, (128, 44))
        self.label("spout to the cistern", 190, 18, (111, 20))


class WaterPath(LineDrawing):
    """The way of the water as a row of boxes."""

    design_height = 74.0

    def sketch(self) -> None:
        stations = ("drape", "sill", "skeen", "marlet", "cistern")
        for position, name in enumerate(stations):
            x = 4 + position * 64
            self.box(x, 24, 48, 28)
            self.canv.drawCentredString(x + 24, 35, name)
            if position < len(stations) - 1:
                self.canv.line(x + 48, 38, x + 64, 38)
                self.canv.line(x + 60, 41, x + 64, 38)
                self.canv.line(x + 60, 35, x + 64, 38)
        self.canv.drawString(4, 8, "collects")
        self.canv.drawString(68, 8, "gathers")
        self.canv.drawString(132, 8, "filters")
        self.canv.drawString(196, 8, "adds minerals")
        self.canv.drawString(262, 8, "stores")


class TollenFront(LineDrawing):
    """The front of the control unit: lamp, display, three keys."""

    design_height = 120.0

    def sketch(self) -> None:
        canvas = self.canv
        self.box(30, 10, 150, 100)
        self.box(44, 62, 90, 36, shaded=False)
        canvas.setFont("Courier", 9)
        canvas.drawString(50, 84, "HAZE  412  OUT")
        canvas.drawString(50, 70, "LEVEL  63 %")
        canvas.setFont("Helvetica", 8.5)
        canvas.circle(158, 80, 7, fill=1)
        for position, name in enumerate(("Clear", "Turn", "Pour")):
            self.box(42 + position * 45, 24, 36, 18, shaded=False)
            canvas.drawCentredString(60 + position * 45, 30, name)
        self.label("lamp", 215, 92, (165, 80))
        self.label("display", 215, 70, (134, 74))
        self.label("keys", 215, 30, (168, 32))


class SitePlan(LineDrawing):
    """A plan of the free distance around a mast."""

    design_height = 140.0

    def sketch(self) -> None:
        canvas = self.canv
        self.box(20, 30, 40, 90)
        canvas.drawCentredString(40, 72, "wall")
        canvas.setLineWidth(3)
        canvas.line(160, 45, 160, 105)
        canvas.setLineWidth(0.8)
        canvas.line(60, 75, 156, 75)
        canvas.line(60, 72, 60, 78)
        canvas.line(156, 72, 156, 78)
        canvas.drawString(68, 80, "2 x mast height")
        for y in (55, 75, 95):
            canvas.line(300, y, 232, y)
            canvas.line(238, y + 4, 232, y)
            canvas.line(238, y - 4, 232, y)
        canvas.drawString(238, 112, "fog wind")
        canvas.drawString(146, 112, "drape")
        canvas.drawString(146, 22, "within 20 degrees of square to the wind")


FIGURES: Final[dict[str, Callable[[float], LineDrawing]]] = {
    "unit-front": UnitFront,
    "sill-section": SillSection,
    "water-path": WaterPath,
    "tollen-front": TollenFront,
    "site-plan": SitePlan,
}
