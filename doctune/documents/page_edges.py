"""Detects running headers and footers, page numbers and stamps on a single page.

Most are found by repetition over pages (`furniture.py`). On a single page, a first page, or where
they change from page to page, these heuristics apply: the row is outermost and separate from the
text, is not larger than it, and has the form or wording of a running line. A title or the first
line of a text is larger, or continues in the next line, or has no such form.
"""

import re
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from operator import attrgetter

from doctune.documents.lines import Line, PageText
from doctune.documents.tables.pieces import Piece, has_gaps, split_line

_BAND = 0.13  # of the page's height
_EDGE = 0.065  # of the page's height: on a page with margins, no text begins there
_MAX_SIZE, _LARGEST, _SMALLER, _SMALL = 1.15, 2.0, 0.98, 0.92  # of the text's
_MAX_CHARS, _LEAST_CHARS = 110, 5
_MOST_ROWS, _OUTERMOST = 4, 14  # most rows, and lines, of a side that are examined
_SAME_ROW = 4.0  # points
_LEAST_GAP = 0.7  # of a line's height, between a running line and the text
_MIN_WIDTH = 0.5  # of the text's, of a running line of several parts
_FAR_GAP = 1.3  # of a line's height, around a page number far from the edge
_OFF_CENTRE = 0.03  # of the page's width
_LONG_CHARS = 25
_MOST_PARTS = 3  # of a running line without a number

_ROMAN = r"[ivxlcdm]{1,7}|[IVXLCDM]{1,7}"
_PAGE_NUMBER = re.compile(
    r"^(?:[-\u2013\u2014~|\[\u2022\u00b7]\s*)?"  # in round brackets, it numbers a formula
    rf"(?:\d{{1,4}}|{_ROMAN}|[A-Z]-?\d{{1,3}}|\d{{1,2}}-\d{{1,3}})"
    r"(?:\s*[-\u2013\u2014~|\]\u2022\u00b7])?$"
)
_PAGE = (
    r"page|p\.|seite|p\u00e1gina|pagina|sida|side|strona|\u0441\u0442\u0440\.?|"
    r"\u0441\u0442\u0440\u0430\u043d\u0438\u0446\u0430"
)
_PAGE_OF = re.compile(
    rf"^(?:{_PAGE})?\s*\d{{1,4}}\s*(?:of|/|von|de|sur|di|\u0438\u0437|van|av)\s*\d{{1,4}}$"
    rf"|^(?:{_PAGE})\s+\d{{1,4}}$|^\u7b2c\s*\d+\s*[\u9875\u30da\u9801]",
    re.IGNORECASE,
)
# Wording of stamps and running lines of publishers, libraries and printers; rare in text.
_STAMP = re.compile(
    r"downloaded (?:from|by|on|at|via|free)|^download(?:ed)? date\s*:|^this (?:content|article) "
    r"was downloaded|^this content downloaded|^all use subject to|"
    r"terms (?:of|and conditions of) use|"
    r"freely available online|^open access\b|^published by \S.*\b(?:1[89]|20)\d\d$|^digitized by|"
    r"^provided by \S.{0,40}$|^view metadata, citation|brought to you by|^authorized licensed use|"
    r"^for personal use only|^electronic copy available at|^please cite this article|"
    r"^uploaded (?:by|on)|^printed (?:on|from|in) \S.{0,40}\d|^generated (?:on|at) .{0,40}\d|"
    r"^copyright (?:\(c\)|\u00a9|\d{4})|^(?:\(c\)|\u00a9)\s*(?:\d{4}|copyright)|"
    r"all rights reserved\.?$|^arxiv:\d{4}\.\d{4,5}|^(?:https?://)?(?:dx\.)?doi\.org/\S+$|"
    r"^doi:?\s*10\.\d+/\S+$|^(?:https?|file)://\S+(?:\s+\d+/\d+)?$|^www\.\S+\.\w{2,}$|\| www\.\S+$|"
    r"^(?:p-|e-)?issn[: ]|"
    r"^(?:bio|med)rxiv preprint\b|\bthis version posted\b|\bauthor manuscript\b.{0,4}available in|"
    r"^official journal of the european|^(?:strictly )?(?:private (?:and|&) )?confidential$|"
    r"^draft (?:of |\u2013 |- )?.{0,20}(?:1[89]|20)\d\d$|^for internal use only$",
    re.IGNORECASE,
)
# Each of them contains one of these hints: a cheap test before the slow search.
_STAMP_HINTS = (
    *("download", "subject to", "terms", "freely", "open access", "published", "digitized"),
    *("provided", "metadata", "brought", "authorized", "personal use", "electronic", "cite"),
    *("upload", "printed", "generated", "copyright", "\u00a9", "(c)", "rights", "arxiv", "doi"),
    *("http", "file://", "www.", "issn", "preprint", "version posted", "manuscript"),
    *("official journal", "confidential", "draft", "internal use"),
)
_RUNNING_HINTS = (
    *("et al", "vol", "rev", "ver", "edition", "issue", "release", "p/n", "part n", "doc", "ref"),
    *("order no", "ch"),
)
# Forms of running lines, which a line of text may have, too.
_RUNNING = re.compile(
    r"\bet al\.?\s*[:/|]|\bet al\.?$|"
    r"^vol(?:ume|\.)?\s*[\divxlc]+\b.{0,12}(?:no\.|number|issue|iss\.|\||,)|"
    r"\bvolume\s+\d+\s*[|,;]\s*(?:issue|number|no)|\bvol\.\s*\d+\s*[,(|;]\s*(?:no|iss|\d)|"
    r"^(?:rev(?:ision)?|version|ver|edition|issue|release)\.?\s*[:#]?\s*[a-z]?\d+(?:[.\-]\d+)*[a-z]?$|"
    r"^(?:p/n|part (?:no|number)|doc(?:ument)?\.? (?:no|number|id)|ref(?:erence)?\.? no|order no)"
    r"\.?\s*:?\s*[a-z0-9][\w./-]*$|^\[?ch(?:ap(?:ter)?)?\.\s*[ivxlc\d]+\.?\]?$|"
    r"^\d{1,2}/\d{1,2}/\d{2,4},?\s+\d{1,2}:\d{2}(?:\s*[ap]m)?\b",
    re.IGNORECASE,
)
_MONTH = (
    r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?|januar|februar|m\u00e4rz|mai|juni|"
    r"juli|oktober|dezember|janvier|f\u00e9vrier|mars|avril|juin|juillet|ao\u00fbt|septembre|"
    r"octobre|novembre|d\u00e9cembre"
)
_DATE = re.compile(
    rf"^(?:\d{{1,2}}\.?\s+)?(?:{_MONTH})\s+(?:\d{{1,2}},\s*)?(?:1[89]|20)\d\d$|"
    r"^\d{1,2}[./]\d{1,2}[./]\d{2,4}$|^(?:1[89]|20)\d\d-\d\d-\d\d$",
    re.IGNORECASE,
)
_VALUE = re.compile(r"^[$\u20ac\u00a3(]?\s*[-\u2013\u2212]?\d[\d.,]*\s*[)%]?$")

_LEFT = attrgetter("x0")

Row = list[Line]


def mark_page_edges(lines: Sequence[Line], text: PageText, width: float, height: float) -> None:
    """Marks running lines of one page as "header" and "footer".

    Args:
        lines: The lines of the page; those that have a kind already are not changed.
        text: The page's text.
        width, height: Of the page, in points.
    """
    middles = [
        (line.y0 + line.y1, place, line) for place, line in enumerate(lines) if not line.turn
    ]
    upright = [line for _, _, line in sorted(middles)]
    page = _Page(upright, text, width, height)
    page.mark("header", _rows(upright[:_OUTERMOST]))
    page.mark("footer", _rows(upright[-_OUTERMOST:])[::-1])


class _Page:
    """The rows of a page, with their usual margins and font size."""

    def __init__(self, lines: list[Line], text: PageText, width: float, height: float) -> None:
        self._lines, self._text, self._width, self._height = lines, text, width, height

    @cached_property
    def _sides(self) -> tuple[float, float]:
        """Where the text begins and ends from left to right."""
        lines = [line for line in self._lines if not line.kind]
        lefts, rights = [line.x0 for line in lines], [line.x1 for line in lines]
        return min(lefts, default=0.0), max(rights, default=self._width)

    @cached_property
    def _size(self) -> float:
        """The font size of most characters."""
        exact: dict[float, int] = {}
        for line in self._lines:
            exact[line.size] = exact.get(line.size, 0) + len(line.text)
        sizes: dict[float, int] = {}
        for size, chars in exact.items():
            rounded = round(size, 1)
            sizes[rounded] = sizes.get(rounded, 0) + chars
        return max(sizes, key=lambda size: sizes[size], default=10.0)

    def mark(self, side: str, rows: Sequence[Row]) -> None:
        """Marks the outermost rows of a side, up to the first that is not a running line.

        Args:
            rows: From the edge inwards.
        """
        marked = False
        for row, inner in pairwise(rows[: _MOST_ROWS + 1]):
            found = [line for line in row if not line.kind]
            beside = any(line.kind == side for line in row)
            if found and not beside and not self._is_running(row, inner, side, marked):
                return
            for line in found:
                line.kind = side
            marked = True

    def _is_running(self, row: Row, inner: Row, side: str, marked: bool) -> bool:
        """Returns whether a row is a running line.

        Args:
            inner: The next row towards the middle of the page.
            marked: Whether the row outside it is a running line.
        """
        # The costly look for gaps comes last; most pages begin and end with their text.
        within = self._is_within(row, side, _BAND)
        if not within and (side == "header" or len(row) > 1 or not row[0].text.isdecimal()):
            return False  # a page number may be farther in
        if any(len(line.text) > _MAX_CHARS for line in row):
            return False
        gap, high = _gap(row, inner), max([line.y1 - line.y0 for line in row])
        apart = gap > _LEAST_GAP * high
        alone = len(row) == 1 and not (apart or marked)
        if alone and not has_gaps(row[0]) and row[0].size >= _SMALLER * self._size:
            return False  # could be the first line of the text
        pieces = [piece for line in row for piece in split_line(line, self._text)]
        texts = [piece.text.strip() for piece in pieces]
        highest = max(line.size for line in row)
        # On covers and forms most text is small print, so a clear form allows a larger size.
        if highest > _MAX_SIZE * self._size and (
            highest > _LARGEST * self._size or not _are_formal(texts)
        ):
            return False
        if not within:
            return self._is_far_number(pieces, inner, gap, high)
        if any(map(_is_stamp, texts)):
            return True
        if len(pieces) == 1:
            return self._is_lone(row, texts[0], apart, side)
        numbered = _is_number(texts[0]) or _is_number(texts[-1])
        formal = _are_formal(texts)
        worded = formal or any(_is_worded(text) or _PAGE_OF.match(text) for text in texts)
        left, right = self._sides
        wide = pieces[-1].x1 - pieces[0].x0 > _MIN_WIDTH * (right - left)
        if formal and wide and any(map(_is_worded, texts)):
            return True
        if not (wide and (apart or marked)) or _are_values(texts):
            return False
        return numbered or worded or self._is_small_print(row, inner, side, texts)

    def _is_small_print(self, row: Row, inner: Row, side: str, texts: Sequence[str]) -> bool:
        """Returns whether a row of parts, such as author and title, is smaller than the text.

        The names of a table's columns are as large as its next row.
        """
        size = max(line.size for line in row)
        smaller = size < _SMALL * min(self._size, *(line.size for line in inner))
        named = all(text[-1:] not in ".:;," and not _VALUE.match(text) for text in texts)
        few = len(texts) <= _MOST_PARTS and not any(line.bold for line in row)
        return smaller and named and few and self._is_within(row, side, _EDGE)

    def _is_within(self, row: Row, side: str, share: float) -> bool:
        """Returns whether a row is within a share of the page's height from its side."""
        if side == "header":
            return max([line.y1 for line in row]) < share * self._height
        return min([line.y0 for line in row]) > (1 - share) * self._height

    def _is_lone(self, row: Row, text: str, apart: bool, side: str) -> bool:
        if _PAGE_OF.match(text):
            return True
        if not apart:
            return False
        if _is_number(text) or _is_worded(text):
            return True
        if _DATE.match(text) and side == "footer":
            return True
        if len(text) < _LEAST_CHARS:
            return False  # label of a figure
        small = row[0].size < _SMALL * self._size and not row[0].bold
        return small and self._is_within(row, side, _EDGE) and text[-1:] not in ".:;,"

    def _is_far_number(self, pieces: list[Piece], inner: Row, gap: float, high: float) -> bool:
        """Returns whether a row is a page number far from the edge, on a short page."""
        if len(pieces) != 1 or not pieces[0].text.isdecimal():
            return False
        centre = (pieces[0].x0 + pieces[0].x1) / 2
        centred = abs(centre - sum(self._sides) / 2) < _OFF_CENTRE * self._width
        below_text = any(len(line.text) > _LONG_CHARS for line in inner)
        return centred and below_text and gap > _FAR_GAP * high


def _is_stamp(text: str) -> bool:
    low = text.lower()
    return any(hint in low for hint in _STAMP_HINTS) and _STAMP.search(text) is not None


def _is_worded(text: str) -> bool:
    low = text.lower()
    hinted = any(hint in low for hint in _RUNNING_HINTS) or low[:1].isdigit()
    return hinted and _RUNNING.search(text) is not None


def _is_stated(text: str) -> bool:
    """Returns whether a text can only be a running line."""
    return _is_stamp(text) or _is_worded(text)


def _is_number(text: str) -> bool:
    return _PAGE_NUMBER.match(text) is not None


def _is_formal(text: str) -> bool:
    """Returns whether a part of a row has the form of a running line's."""
    forms = (_is_worded, _PAGE_OF.match, _DATE.match, _PAGE_NUMBER.match, _is_stamp)
    return any(form(text) for form in forms)


def _are_formal(texts: Sequence[str]) -> bool:
    """Returns whether all parts of a row have the form of a running line's, or one only its own."""
    return all(map(_is_formal, texts)) and (len(texts) > 1 or _is_stated(texts[0]))


def _are_values(texts: Sequence[str]) -> bool:
    """Returns whether a row has values, as the last row of a table."""
    return len(texts) > 2 and sum(1 for text in texts if _VALUE.match(text)) > 1


def _rows(lines: Sequence[Line]) -> list[Row]:
    """Groups lines into rows, from the top down."""
    rows: list[Row] = []
    for line in lines:
        last = rows[-1][0] if rows else None
        if last and abs(last.y0 + last.y1 - line.y0 - line.y1) < 2 * _SAME_ROW:
            rows[-1].append(line)
        else:
            rows.append([line])
    for row in rows:
        if len(row) > 1:
            row.sort(key=_LEFT)
    return rows


def _gap(row: Row, inner: Row) -> float:
    return max(
        min([line.y0 for line in inner]) - max([line.y1 for line in row]),
        min([line.y0 for line in row]) - max([line.y1 for line in inner]),
    )
