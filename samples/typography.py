"""Fonts, colours and paragraph styles of the house."""

from reportlab.lib.colors import Color, HexColor
from reportlab.lib.enums import TA_JUSTIFY, TA_LEFT
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont

from manuscript import Look

ACCENT = HexColor("#1f4e5f")
RULE = HexColor("#7a8b90")
SHADE = HexColor("#e6edef")
MONOSPACE = "Courier"
_STANDARD = {
    "serif": ("Times-Roman", "Times-Bold", "Times-Italic"),
    "sans": ("Helvetica", "Helvetica-Bold", "Helvetica-Oblique"),
}


class Typography:
    """The paragraph styles of one look; sizes follow from the body size, in points."""

    def __init__(self, look: Look) -> None:
        self.regular, self.bold, self.italic = _fonts(look.font)
        size = look.size
        self.size = size
        body = self._style("body", size)
        body.alignment = TA_JUSTIFY if look.justified else TA_LEFT
        body.spaceAfter = size * 0.6
        body.allowWidows = body.allowOrphans = 0
        self.body = body
        self.item = ParagraphStyle("item", body, spaceAfter=size * 0.25)
        self.cell = self._style("cell", size - 1.5, leading=(size - 1.5) * 1.2)
        self.cell_head = ParagraphStyle("cell-head", self.cell, fontName=self.bold)
        self.caption = self._style("caption", size - 1, font=self.italic)
        self.caption.spaceBefore = size * 0.3
        self.caption.spaceAfter = size * 0.9
        self.note = ParagraphStyle("note", body, leftIndent=10, spaceAfter=0)
        self.code = self._style("code", size - 2.2, font=MONOSPACE, leading=(size - 2.2) * 1.25)
        self.headings = [self._heading(depth) for depth in range(3)]
        self.title = self._style("title", size + 11, font=self.bold, color=ACCENT)
        self.title.spaceAfter = size * 0.4
        self.subtitle = self._style("subtitle", size + 1.5, font=self.italic)
        self.subtitle.spaceAfter = size * 1.6
        self._add_cover_styles()
        self._add_contents_styles()

    def _add_cover_styles(self) -> None:
        self.cover_company = self._style("cover-company", 13, color=RULE)
        self.cover_title = self._style("cover-title", 29, font=self.bold, color=ACCENT)
        self.cover_subtitle = self._style("cover-subtitle", 14, font=self.italic)
        self.cover_subtitle.spaceBefore = 6
        self.cover_note = self._style("cover-note", 10)

    def _add_contents_styles(self) -> None:
        self.contents_heading = self._style("contents", self.size + 6, font=self.bold, color=ACCENT)
        self.contents_heading.spaceAfter = self.size
        top = self._style("contents-0", self.size, font=self.bold)
        top.spaceBefore = 3
        second = self._style("contents-1", self.size - 0.5)
        second.leftIndent = 14
        self.contents_levels = [top, second]

    def _heading(self, depth: int) -> ParagraphStyle:
        size = self.size + (6.5, 2.5, 0.5)[depth]
        style = self._style(f"heading-{depth}", size, font=self.bold, color=ACCENT)
        style.spaceBefore = size * (0.9, 0.8, 0.6)[depth]
        style.spaceAfter = size * 0.35
        return style

    def _style(
        self,
        name: str,
        size: float,
        *,
        font: str | None = None,
        leading: float | None = None,
        color: Color | None = None,
    ) -> ParagraphStyle:
        style = ParagraphStyle(
            name,
            fontName=font or self.regular,
            fontSize=size,
            leading=leading or size * 1.28,
            bulletFontName=self.regular,
            bulletFontSize=size,
        )
        if color is not None:
            style.textColor = color
        return style


def _fonts(family: str) -> tuple[str, str, str]:
    """Names of the regular, bold and italic face; Vera, which reportlab ships, is embedded."""
    if family in _STANDARD:
        return _STANDARD[family]
    faces = {"Vera": "Vera.ttf", "Vera-Bold": "VeraBd.ttf", "Vera-Italic": "VeraIt.ttf"}
    for name, file in faces.items():
        pdfmetrics.registerFont(TTFont(name, file))
    pdfmetrics.registerFontFamily(
        "Vera", normal="Vera", bold="Vera-Bold", italic="Vera-Italic", boldItalic="Vera-Bold"
    )
    return "Vera", "Vera-Bold", "Vera-Italic"
