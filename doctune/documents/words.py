"""Text as it should have been written: words whole again, ligatures undone, nothing invisible."""

import re

from doctune.documents.hyphens import HYPHENS, Vocabulary, breaks_word, is_suspended

_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef]")
_FIRST_CJK = "\u3040"
_REPLACED = {
    "\ufb00": "ff",
    "\ufb01": "fi",
    "\ufb02": "fl",
    "\ufb03": "ffi",
    "\ufb04": "ffl",
    "\ufb05": "ft",
    "\ufb06": "st",
    "\xa0": " ",
    "\xad": "",
    "\ufffe": "-",
    "\x02": "-",
    "\u200b": "",
    "\ufeff": "",
    "\ufffd": "",
}
# Control characters that fonts without a map leave behind.
_REPLACED.update({chr(code): "" for code in range(32) if code not in (2, 9, 10)})
_NEEDS_CLEANING = re.compile("[" + "".join(map(re.escape, sorted(_REPLACED))) + "]")
_SPACES = re.compile(r"(?<=\S) {2,}")


def join_lines(parts: list[str], vocabulary: Vocabulary | None = None) -> str:
    """Joins the lines of a paragraph: words broken at a line's end become whole again."""
    if len(parts) == 1:
        return clean_text(parts[0])
    last = parts[0]
    joined = [last]
    for part in parts[1:]:
        end = last[-1:]
        if end in HYPHENS and breaks_word(last):
            if is_suspended(part):
                joined.append(" ")
            elif part[0].islower() and not (vocabulary and vocabulary.keeps_hyphen(last, part)):
                joined[-1] = joined[-1][:-1]
        elif end < _FIRST_CJK or not _CJK.match(end) or not _CJK.match(part):
            joined.append(" ")
        joined.append(part)
        last = part
    return clean_text("".join(joined))


def clean_text(text: str) -> str:
    """Undoes ligatures and drops characters that show nothing."""
    if text.isascii() and text.isprintable():
        return text
    cleaned = _NEEDS_CLEANING.sub(lambda match: _REPLACED[match.group()], text)
    return _SPACES.sub(" ", cleaned) if cleaned is not text and "  " in cleaned else cleaned
