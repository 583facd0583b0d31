"""Font styles, and detection of TeX's symbol fonts by name."""

import ctypes
import re
from functools import lru_cache

from doctune.documents import foreign

# Styles as bit flags, since they are read for every line.
PLAIN, BOLD, ITALIC, MONO, MATH, TEX_SYMBOLS, TEX_EXTENSION = 0, 1, 2, 4, 8, 16, 32

_MONOSPACED_NAME = re.compile(
    r"mono|courier|consol|typewriter|cmtt|cmtl|cmvtt|sftt|menlo|nimbusmon|fixed|lmtt|inconsolata"
)
_BOLD_NAME = re.compile(r"bold|black|heavy|semibd|demi|medi(?!um)|cmbx|sfbx|cmb\d|-b[0i]?$")
_REGULAR_NAME = re.compile(r"regu|roman|book|light")
_ITALIC_NAME = re.compile(r"ital|obli|cmti|cmsl|sfti|sfsl|slanted|-i$")
_MATH_NAME = re.compile(r"^(?:cm|lm|tx|px|eu|rsfs|ms[ab]m|stix|mt|math)(?:mi|sy|ex|math|[ab]m\d|$)")
_TEX_SYMBOLS_NAME = re.compile(r"^(?:cm|lm|tx|px|eu|mt|nx|pzd)b?s(?:y|ym)(?:a|b|c)?(?:\d|$|-)")
_TEX_EXTENSION_NAME = re.compile(r"^(?:cm|lm|tx|px|eu|mt)ex")
_FLAG_FIXED, _FLAG_ITALIC, _FLAG_FORCE_BOLD = 1, 1 << 6, 1 << 18
_BOLD_WEIGHT = 600


def read_font(handle: int) -> int:
    """Returns the styles of a PDFium font."""
    buffer = ctypes.create_string_buffer(128)
    foreign.font_name(handle, ctypes.addressof(buffer), 128)
    name = buffer.value.decode("ascii", "replace").lower().rpartition("+")[2]
    return _style(name, max(0, foreign.font_flags(handle)), foreign.font_weight(handle))


@lru_cache(maxsize=4096)
def _style(name: str, flags: int, weight: int) -> int:
    font = PLAIN
    if flags & _FLAG_FIXED or _MONOSPACED_NAME.search(name):
        font |= MONO
    # PDFium derives the weight from the font's stem width, which some fonts state wrongly.
    heavy = weight >= _BOLD_WEIGHT and not _REGULAR_NAME.search(name)
    if flags & _FLAG_FORCE_BOLD or _BOLD_NAME.search(name) or heavy:
        font |= BOLD
    if flags & _FLAG_ITALIC or _ITALIC_NAME.search(name):
        font |= ITALIC
    if _MATH_NAME.match(name):
        font |= MATH
    if _TEX_SYMBOLS_NAME.match(name):
        font |= TEX_SYMBOLS
    if _TEX_EXTENSION_NAME.match(name):
        font |= TEX_EXTENSION
    return font
