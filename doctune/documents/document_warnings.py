"""Warnings about the reliability of a parsed document."""

from collections.abc import Iterable, Sequence

from doctune.documents.model import OUT_OF_FLOW, Page
from doctune.documents.part_page import PartPage
from doctune.documents.stages import Fault

LOST_SHARE = 0.02  # of a document's characters in no block, above which there is a warning
_UNMAPPED_SHARE = 0.02
_OUT_OF_FLOW_SHARE, _OUT_OF_FLOW_CHARS = 0.2, 200  # of a page
_LEAST_HIDDEN = 12  # characters: fewer are specks
_MOST_NAMED = 8  # pages
_MOST_FILES, _NAME_CHARS = 3, 80  # attached files that a warning names


def document_warnings(
    parts: Sequence[PartPage],
    pages: Sequence[Page],
    faults: Sequence[Fault],
    attached: Sequence[str] = (),
) -> list[str]:
    """Returns the warnings, one line each.

    Args:
        parts: The pages of all parts.
        pages: The pages of the whole document.
        faults: Faults of parsing steps on the document as a whole.
        attached: Names of the files that are attached to it.
    """
    found = [*_of_ocr(parts), *_of_faults([*(f for part in parts for f in part.faults), *faults])]
    chars = sum(part.char_count for part in parts)
    unmapped = sum(part.unmapped_count for part in parts)
    if unmapped > _UNMAPPED_SHARE * chars:
        found.append(f"{unmapped} of {chars} characters have no Unicode: the font has no map.")
    there, lost = sum(p.text_chars for p in parts), sum(p.lost_chars for p in parts)
    if lost > LOST_SHARE * there:
        where = _named(part.number for part in parts if part.lost_chars > LOST_SHARE * there / 10)
        found.append(f"{lost} of {there} characters ({lost / there:.1%}) are in no block: {where}.")
    hidden = sum(part.hidden_chars for part in parts)
    if hidden >= _LEAST_HIDDEN:
        where = _named(part.number for part in parts if part.hidden_chars)
        found.append(
            f"{hidden} characters on {where} are hidden from a reader (white, invisible, off the "
            "page or covered): set `hidden_text` to keep them."
        )
    apart = [page.number for page in pages if _is_out_of_flow(page)]
    if apart:
        found.append(
            f"More than a fifth of the text of {_named(apart)} is not in the running text but in "
            "figures or margins."
        )
    if attached:
        files = "1 file is" if len(attached) == 1 else f"{len(attached)} files are"
        found.append(
            f"{files} attached and no part of this document ({_some(attached)}): `attachments` "
            "reads attached PDFs as documents of their own."
        )
    return found


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(name[:_NAME_CHARS] for name in names[:_MOST_FILES])
    return shown + (" ..." if len(names) > _MOST_FILES else "")


def _of_ocr(parts: Sequence[PartPage]) -> list[str]:
    found = []
    unread = sum(1 for part in parts if part.unread)
    scanned = [part.confidence for part in parts if part.confidence]
    if unread:
        from doctune.documents import ocr

        found.append(
            f"{unread} of {len(parts)} pages show text that only OCR can read. {ocr.ADVICE}"
        )
    if scanned:
        mean = sum(scanned) / len(scanned)
        found.append(
            f"{len(scanned)} of {len(parts)} pages were read by OCR, {mean:.0f} % sure of words."
        )
    unsure = [part.number for part in parts if part.unsure]
    if unsure:
        have = "page has" if len(unsure) == 1 else "pages have"
        found.append(
            f"{len(unsure)} {have} handwriting or drawings that were not read: {_named(unsure)}."
        )
    return found


def _of_faults(faults: Sequence[Fault]) -> list[str]:
    """Returns one line for each failed step, with the pages that were read without it."""
    pages: dict[str, list[int]] = {}
    errors: dict[str, str] = {}
    for fault in faults:
        pages.setdefault(fault.stage, []).append(fault.page)
        errors.setdefault(fault.stage, fault.error)
    return [
        f"Looking for {stage} failed on {_named(sorted(set(numbers)))}, read without them "
        f"({errors[stage]})."
        for stage, numbers in pages.items()
    ]


def _is_out_of_flow(page: Page) -> bool:
    apart = sum(len(block.text) for block in page.blocks if block.kind in OUT_OF_FLOW)
    whole = sum(len(block.text) for block in page.blocks)
    return apart >= _OUT_OF_FLOW_CHARS and apart > _OUT_OF_FLOW_SHARE * whole


def _named(numbers: Iterable[int]) -> str:
    """Lists pages: "page 3", "pages 3, 5 and 7", "pages 1, 2 ... and 40 more"."""
    pages = [str(number) for number in numbers if number]
    if not pages:
        return "the document"
    if len(pages) == 1:
        return f"page {pages[0]}"
    if len(pages) > _MOST_NAMED:
        return f"pages {', '.join(pages[:_MOST_NAMED])} and {len(pages) - _MOST_NAMED} more"
    return f"pages {', '.join(pages[:-1])} and {pages[-1]}"
