"""Page frames, running headers and footers, covers and bookmarks: a manuscript becomes a PDF."""

from pathlib import Path

from reportlab.lib import pagesizes
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    Flowable,
    Frame,
    NextPageTemplate,
    PageBreak,
    PageTemplate,
    Paragraph,
    Spacer,
    TableStyle,
)
from reportlab.platypus.tableofcontents import TableOfContents

from figures import CoverEmblem
from manuscript import Manuscript
from markdown_flow import Heading, MarkdownFlow
from typography import ACCENT, RULE, Typography

COMPANY = "Orrowick Fogworks"
MARGIN = 14 * mm
COLUMN_GAP = 8 * mm
MASTHEAD_HEIGHT = 26 * mm
_PAPERS = {
    "a5": pagesizes.A5,
    "half-letter": (396.0, 612.0),
    "letter": pagesizes.LETTER,
}


class HouseDocument(BaseDocTemplate):
    """One sample document in the house style.

    Args:
        manuscript: What to set.
        path: Where the PDF goes.
    """

    def __init__(self, manuscript: Manuscript, path: Path) -> None:
        self.manuscript = manuscript
        self.typography = Typography(manuscript.look)
        look = manuscript.look
        super().__init__(
            str(path),
            pagesize=_PAPERS[look.paper],
            title=f"{manuscript.title}: {manuscript.subtitle}",
            author=COMPANY,
            subject=manuscript.subject,
            keywords=["Nimbrel", manuscript.number],
            creator="doctune samples/build.py",
            invariant=1,
            pageCompression=int(look.compress),
            encrypt=_lock(look.password),
        )
        self.lang = "en-GB"
        self._bookmarks = 0
        self.addPageTemplates(self._templates())

    def write(self) -> None:
        """Set the manuscript and write the PDF; twice where a table of contents needs pages."""
        look, style = self.manuscript.look, self.typography
        flow = MarkdownFlow(style, numbered=look.numbered, width=self._column_width())
        story: list[Flowable] = []
        if look.cover:
            story += [*self._cover(), NextPageTemplate("text"), PageBreak()]
        elif look.columns == 1:
            story += [
                Paragraph(self.manuscript.title, style.title),
                Paragraph(self.manuscript.subtitle, style.subtitle),
            ]
        else:
            story.append(NextPageTemplate("text"))
        if look.contents:
            contents = TableOfContents(levelStyles=style.contents_levels, dotsMinLevel=0)
            contents.tableStyle = TableStyle(
                [("TOPPADDING", (0, 0), (-1, -1), 0.5), ("BOTTOMPADDING", (0, 0), (-1, -1), 0.5)]
            )
            story += [Paragraph("Contents", style.contents_heading), contents, PageBreak()]
        story += flow.flowables(self.manuscript.body)
        if look.contents:
            self.multiBuild(story)
        else:
            self.build(story)

    def beforeDocument(self) -> None:  # noqa: N802 - reportlab's hook
        self._bookmarks = 0

    def afterFlowable(self, flowable: Flowable) -> None:  # noqa: N802 - reportlab's hook
        """Bookmark each heading and tell the table of contents of it."""
        if not isinstance(flowable, Heading):
            return
        key = f"heading-{self._bookmarks}"
        self._bookmarks += 1
        self.canv.bookmarkPage(key)
        self.canv.addOutlineEntry(flowable.plain, key, level=flowable.depth, closed=0)
        if flowable.depth <= 1:
            self.notify("TOCEntry", (flowable.depth, flowable.plain, self.page, key))

    def _column_width(self) -> float:
        width = self.pagesize[0] - 2 * MARGIN
        return width if self.manuscript.look.columns == 1 else (width - COLUMN_GAP) / 2

    def _templates(self) -> list[PageTemplate]:
        width, height = self.pagesize
        bottom, top = MARGIN + 4 * mm, height - MARGIN - 3 * mm
        if self.manuscript.look.columns == 2:
            return [
                PageTemplate("first", self._columns(bottom, top - MASTHEAD_HEIGHT), self._masthead),
                PageTemplate("text", self._columns(bottom, top), self._furniture),
            ]
        frame = _frame(MARGIN, bottom, width - 2 * MARGIN, top - bottom)
        if self.manuscript.look.cover:
            cover_frame = _frame(MARGIN, bottom, width - 2 * MARGIN, top - bottom)
            return [
                PageTemplate("cover", [cover_frame]),
                PageTemplate("text", [frame], self._furniture),
            ]
        return [PageTemplate("text", [frame], self._furniture)]

    def _columns(self, bottom: float, top: float) -> list[Frame]:
        column = self._column_width()
        lefts = (MARGIN, MARGIN + column + COLUMN_GAP)
        return [_frame(left, bottom, column, top - bottom) for left in lefts]

    def _furniture(self, canvas: Canvas, document: BaseDocTemplate) -> None:
        """Draw the running header with its rule, and the footer with the page number."""
        width, height = self.pagesize
        canvas.saveState()
        canvas.setFont(self.typography.regular, 8)
        top = height - MARGIN + 2 * mm
        canvas.drawString(MARGIN, top, self.manuscript.title)
        canvas.drawRightString(width - MARGIN, top, self.manuscript.edition)
        canvas.setStrokeColor(RULE)
        canvas.setLineWidth(0.6)
        canvas.line(MARGIN, top - 4, width - MARGIN, top - 4)
        foot = MARGIN - 4 * mm
        canvas.drawString(MARGIN, foot, f"{COMPANY} · {self.manuscript.number}")
        canvas.drawRightString(width - MARGIN, foot, f"Page {document.page}")
        canvas.restoreState()

    def _masthead(self, canvas: Canvas, document: BaseDocTemplate) -> None:
        """Draw a newsletter's title over both columns of its first page."""
        self._furniture(canvas, document)
        width, height = self.pagesize
        canvas.saveState()
        base = height - MARGIN - 17 * mm
        canvas.setFillColor(ACCENT)
        canvas.setFont(self.typography.bold, 25)
        canvas.drawString(MARGIN, base, self.manuscript.title)
        canvas.setFont(self.typography.italic, 11)
        canvas.drawString(MARGIN, base - 7 * mm, self.manuscript.subtitle)
        canvas.setLineWidth(1.6)
        canvas.setStrokeColor(ACCENT)
        canvas.line(MARGIN, base - 10 * mm, width - MARGIN, base - 10 * mm)
        canvas.restoreState()

    def _cover(self) -> list[Flowable]:
        style = self.typography
        return [
            Spacer(1, 22 * mm),
            Paragraph(COMPANY, style.cover_company),
            Spacer(1, 8 * mm),
            Paragraph(self.manuscript.title, style.cover_title),
            Paragraph(self.manuscript.subtitle, style.cover_subtitle),
            Spacer(1, 14 * mm),
            CoverEmblem(self.pagesize[0] - 2 * MARGIN),
            Spacer(1, 14 * mm),
            Paragraph(f"{self.manuscript.number}<br/>{self.manuscript.edition}", style.cover_note),
        ]


def _frame(x: float, y: float, width: float, height: float) -> Frame:
    return Frame(x, y, width, height, leftPadding=0, rightPadding=0, topPadding=0, bottomPadding=0)


def _lock(password: str | None) -> StandardEncryption | None:
    """128-bit RC4: the strongest of reportlab's that draws no random numbers."""
    return None if password is None else StandardEncryption(password, strength=128)
