"""PDFs with headings that are known, made from the same story in many styles.

Each style is a way in which people set books, reports and papers: numbered or not, with an outline
or without, in one column or two, headings told by size or by nothing but weight. In all of them
stands what looks like a heading and is none: run-in heads, bold sentences, heads of tables,
captions, bold items of lists, running titles.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4, LETTER
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.ttfonts import TTFError, TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    Flowable,
    Frame,
    PageBreak,
    PageTemplate,
    Paragraph,
    Preformatted,
    Spacer,
    Table,
    TableStyle,
)

_LATIN = (
    "pump valve tank pressure water limit filter cable signal motor table report number service "
    "person machine number measure change order system part model figure state result method "
    "works stops begins falls rises holds opens closes shows keeps the a of in for with and by"
)
_RUSSIAN = (
    "насос клапан бак давление вода предел фильтр кабель сигнал мотор таблица отчёт номер служба "
    "человек машина мера порядок система часть модель работает стоит начинает держит под на для"
)
_CHINESE = "水泵阀门油箱压力流量过滤电缆信号马达表格报告编号服务机器测量顺序系统部分模型结果方法"
_ROMAN = ("I", "II", "III", "IV", "V")
_BOLD = {
    "Times-Roman": "Times-Bold",
    "Helvetica": "Helvetica-Bold",
    "DejaVuSans": "DejaVuSans-Bold",
}


@dataclass(frozen=True)
class Style:
    """How a document is set.

    Attributes:
        fonts: Of text, then of headings by level; the last is of all further levels.
        sizes: Of headings by level, in points.
        body: Size of the text, in points.
        numbering: "1.1", "1.1.", "I.A" or "" for none.
        centred: Whether headings stand in the middle.
    """

    name: str
    fonts: tuple[str, ...]
    sizes: tuple[float, ...]
    body: float = 10.0
    numbering: str = "1.1"
    outline: bool = False
    columns: int = 1
    centred: bool = False
    capitals: bool = False
    script: str = "latin"
    page: tuple[float, float] = A4


STYLES = (
    Style("report", ("Times-Roman", "Helvetica-Bold"), (18, 14, 12), outline=True),
    Style("paper", ("Times-Roman", "Times-Bold"), (12, 10, 10), columns=2, page=LETTER),
    Style("paper-italic", ("Times-Roman", "Times-BoldItalic"), (12, 11, 10), columns=2),
    Style("memo", ("Helvetica", "Helvetica-Bold"), (11, 10), numbering=""),
    Style("book", ("Times-Roman", "Times-Roman"), (22, 15, 12.5), numbering="", centred=True),
    Style("contract", ("Helvetica", "Helvetica-Bold"), (11, 10), 9, "1.1.", capitals=True),
    Style("manual", ("Helvetica", "Helvetica-Bold"), (24, 16, 12, 10), outline=True, page=LETTER),
    Style("small-steps", ("Times-Roman", "Times-Bold"), (12, 11.5, 11), 10.5),
    Style("journal", ("Times-Roman",), (10, 10, 10), 10, "1.1.", centred=True, capitals=True),
    Style(
        "letters",
        ("Times-Roman", "Times-Roman", "Times-Italic"),
        (10, 10),
        10,
        "I.A",
        columns=2,
        centred=True,
        capitals=True,
    ),
    Style("russian", ("DejaVuSans", "DejaVuSans-Bold"), (16, 13, 11), script="russian"),
    Style("chinese", ("STSong-Light", "STSong-Light"), (18, 14, 12), script="chinese"),
)


def make_documents(folder: Path) -> Iterator[tuple[str, Path, list[tuple[str, int]], str]]:
    """Writes a PDF in each style whose fonts there are.

    Yields:
        The style's name, the PDF, the text and level of each of its headings, and its title, which
        may be taken for one.
    """
    for number, style in enumerate(STYLES):
        if _has_fonts(style):
            maker = _Maker(style, random.Random(number))  # noqa: S311
            path = folder / f"{style.name}.pdf"
            maker.write(path)
            yield style.name, path, maker.truth, maker.title


def _has_fonts(style: Style) -> bool:
    """Registers the fonts of a style that are not built in; tells whether the machine has them."""
    for font in set(style.fonts):
        try:
            if style.script == "chinese":
                pdfmetrics.registerFont(UnicodeCIDFont(font))
            elif style.script == "russian":
                pdfmetrics.registerFont(TTFont(font, f"{font}.ttf"))
        except TTFError:
            return False
    return True


class _Head(Paragraph):
    """A heading, which enters itself in the outline."""

    entry: tuple[str, int] | None = None

    def draw(self) -> None:
        if self.entry:
            text, level = self.entry
            self.canv.bookmarkPage(text)
            self.canv.addOutlineEntry(text, text, level - 1)
        super().draw()


class _Maker:
    """Writes one document and keeps the headings that it has."""

    def __init__(self, style: Style, chance: random.Random) -> None:
        self.truth: list[tuple[str, int]] = []
        self._style, self._chance = style, chance
        self.title = self._words(5)
        text_font = style.fonts[0]
        self._bold = text_font if style.script == "chinese" else _BOLD.get(text_font, text_font)
        shared = {"wordWrap": "CJK" if style.script == "chinese" else None}
        body = style.body
        self._text = ParagraphStyle(
            "text", fontName=text_font, fontSize=body, leading=1.25 * body, spaceAfter=5, **shared
        )
        self._strong = ParagraphStyle("strong", self._text, fontName=self._bold)
        self._heads = [
            ParagraphStyle(
                f"head {level}",
                fontName=style.fonts[min(level, len(style.fonts) - 1)],
                fontSize=size,
                leading=1.2 * size,
                spaceBefore=1.2 * size,
                spaceAfter=0.5 * size,
                keepWithNext=1,
                alignment=1 if style.centred else 0,
                **shared,
            )
            for level, size in enumerate(style.sizes, start=1)
        ]

    def write(self, path: Path) -> None:
        style = self._style
        width, height = style.page
        column = (width - 120 - 20 * (style.columns - 1)) / style.columns
        frames = [
            Frame(60 + index * (column + 20), 60, column, height - 130, id=str(index))
            for index in range(style.columns)
        ]
        document = BaseDocTemplate(str(path), pagesize=style.page, invariant=1)
        document.addPageTemplates(PageTemplate(frames=frames, onPage=self._running_lines))
        document.build(self._story())

    def _running_lines(self, canvas: Canvas, document: BaseDocTemplate) -> None:
        canvas.setFont(self._style.fonts[0], 8)
        canvas.drawString(60, self._style.page[1] - 40, self.title)
        canvas.drawCentredString(self._style.page[0] / 2, 34, str(document.page))

    def _story(self) -> list[Flowable]:
        story: list[Flowable] = []
        if self._style.columns == 1:
            title = ParagraphStyle("title", self._heads[0], fontSize=26, leading=32, alignment=1)
            story += [Spacer(1, 200), Paragraph(self.title, title), PageBreak()]
        for chapter in range(1, 6):
            story += self._section(f"{chapter}", 1)
            for section in range(1, self._chance.randint(3, 5)):
                story += self._section(f"{chapter}.{section}", 2)
                for part in range(1, self._chance.randint(1, 4) if len(self._heads) > 2 else 1):
                    story += self._section(f"{chapter}.{section}.{part}", 3)
        if self._style.numbering:
            for letter in "AB":
                story += self._section(letter, 1)
                story += self._section(f"{letter}.1", 2)
        return story + self._section("", 1)

    def _section(self, number: str, level: int) -> list[Flowable]:
        """A heading and what stands under it."""
        style = self._style
        longest = self._chance.random() < 0.1
        text = self._words(14 if longest else self._chance.randint(1, 6))
        text = text.upper() if style.capitals and level == 1 else text.capitalize()
        if number and style.numbering:
            text = f"{self._numbered(number)} {text}"
        self.truth.append((text, level))
        head = _Head(text, self._heads[level - 1])
        if style.outline:
            head.entry = (text, level)
        story: list[Flowable] = [head, self._prose()]
        for _ in range(self._chance.randint(1, 3)):
            decoy = self._chance.choice(
                [self._run_in, self._bold_sentence, self._table, self._items, self._code]
            )
            story += [*decoy(), self._prose()]
        return story

    def _numbered(self, number: str) -> str:
        """A number such as "2.3" as the style writes it."""
        if self._style.numbering != "I.A":
            return number + self._style.numbering[3:]
        chapter, _, section = number.partition(".")
        if section:
            return f"{'ABCDEFGH'[int(section) - 1]}."
        return f"{_ROMAN[int(chapter) - 1]}." if chapter.isdigit() else f"Appendix {chapter}:"

    def _prose(self) -> Flowable:
        sentences = [self._sentence() for _ in range(self._chance.randint(2, 6))]
        return Paragraph(" ".join(sentences), self._text)

    def _run_in(self) -> list[Flowable]:
        head = f'<font name="{self._bold}">{self._words(2).capitalize()}.</font>'
        return [Paragraph(f"{head} {self._sentence()} {self._sentence()}", self._text)]

    def _bold_sentence(self) -> list[Flowable]:
        return [Paragraph(self._sentence(), self._strong)]

    def _table(self) -> list[Flowable]:
        rows = [[self._words(1).capitalize() for _ in range(3)]]
        rows += [[self._words(1), *(str(self._chance.randint(1, 99)) for _ in "12")] for _ in "123"]
        drawn = TableStyle(
            [
                ("GRID", (0, 0), (-1, -1), 0.5, colors.black),
                ("FONTNAME", (0, 0), (-1, 0), self._bold),
                ("FONTNAME", (0, 1), (-1, -1), self._style.fonts[0]),
            ]
        )
        caption = f"Table {self._chance.randint(1, 9)}. {self._words(4).capitalize()}"
        return [Paragraph(caption, self._strong), Table(rows, style=drawn), Spacer(1, 8)]

    def _items(self) -> list[Flowable]:
        return [
            Paragraph(
                f'{number}. <font name="{self._bold}">{self._words(2)}</font>: {self._words(6)}.',
                self._text,
            )
            for number in range(1, 4)
        ]

    def _code(self) -> list[Flowable]:
        code = ParagraphStyle("code", fontName="Courier-Bold", fontSize=9, leading=11)
        return [Preformatted("start(pump)\nif low:\n    stop(pump)", code), Spacer(1, 6)]

    def _sentence(self) -> str:
        end = "\u3002" if self._style.script == "chinese" else "."
        return self._words(self._chance.randint(6, 16)).capitalize() + end

    def _words(self, count: int) -> str:
        if self._style.script == "chinese":
            return "".join(self._chance.choices(_CHINESE, k=2 * count))
        words = _RUSSIAN if self._style.script == "russian" else _LATIN
        return " ".join(self._chance.choices(words.split(), k=count))
