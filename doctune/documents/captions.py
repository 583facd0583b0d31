"""Detects captions and attaches them to the table or figure above or below."""

import re
from collections.abc import Sequence
from dataclasses import replace

from doctune.documents.model import BBox, Block

_CAPTION = re.compile(
    r"^(?:fig(?:ur[ae]?|uur|\.)?|tab(?:le|\.|ell[ea]?|el|ela|leau)|tabla|listing|algorithm|"
    r"abb(?:ildung|\.)|\u0440\u0438\u0441(?:\u0443\u043d\u043e\u043a|\.)|"
    r"\u0442\u0430\u0431\u043b(?:\u0438\u0446\u0430|\.)|[\u56f3\u8868\u5716\u56fe\ud45c]|\uadf8\ub9bc)"
    r"\s*(?:[a-z]\.?(?=\d))?[\divx]+(?:[.\-\u2013]\d+)*[a-z]?"
    r"\s*(?:[.:\u2013\u2014-]|$|\s(?P<rest>\S))",
    re.IGNORECASE,
)
# First characters of captions: a cheap test first, since most lines are not captions.
BEGINS = frozenset("fFtTlLaA\u0440\u0420\u0442\u0422\u56f3\u8868\u5716\u56fe\ud45c\uadf8")
_OF_TABLE = re.compile(
    r"^\W*(?:tab|\u0442\u0430\u0431\u043b|\u8868|\ud45c|quadro|cuadro)", re.IGNORECASE
)
_OF_FIGURE = re.compile(
    r"^\W*(?:fig|abb|ill|\u0440\u0438\u0441|\u56f3|\u5716|\u56fe|\uadf8\ub9bc)", re.IGNORECASE
)
_MAX_GAP = 60.0  # points


def is_caption(text: str) -> bool:
    """Returns whether a line is a caption ("Figure 5. Flow rate"), not a sentence.

    "Figure 5 shows the flow rate" is a sentence.
    """
    found = _CAPTION.match(text)
    return found is not None and not (found["rest"] or "").islower()


def tie_captions(blocks: list[Block], drawings: Sequence[BBox]) -> list[Block]:
    """Attaches captions to the tables and figures of a page.

    Args:
        drawings: The boxes of drawings and images. One with a caption but no text becomes a figure
            block without text.
    """
    tied = list(blocks)
    for caption in blocks:
        if caption.kind != "caption":
            continue
        if _OF_TABLE.match(caption.text):
            _tie(tied, caption, "table")
        elif _OF_FIGURE.match(caption.text) and not _tie(tied, caption, "figure"):
            box = min(
                (box for box in drawings if _gap(box, caption.bbox) < _MAX_GAP),
                key=lambda box: _gap(box, caption.bbox),
                default=None,
            )
            if box is not None:
                rounded = (round(box[0], 1), round(box[1], 1), round(box[2], 1), round(box[3], 1))
                figure = Block(caption.page, "figure", "", rounded, caption=caption.text)
                tied.insert(tied.index(caption), figure)
    return tied


def _tie(blocks: list[Block], caption: Block, kind: str) -> bool:
    near = [
        (gap, index)
        for index, block in enumerate(blocks)
        if block.kind == kind
        and not block.caption
        and (gap := _gap(block.bbox, caption.bbox)) < _MAX_GAP
    ]
    if not near:
        return False
    index = min(near)[1]
    blocks[index] = replace(blocks[index], caption=caption.text)
    return True


def _gap(box: BBox, other: BBox) -> float:
    """Returns the vertical distance of two boxes in points; infinite if they are side by side."""
    if box[0] >= other[2] or box[2] <= other[0]:
        return float("inf")
    return max(0.0, box[1] - other[3], other[1] - box[3])
