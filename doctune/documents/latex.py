"""Writes a displayed formula as LaTeX, from the places, sizes and rules of its characters.

No model is asked: fractions are told by their bar, roots by their sign and rule, scripts by size
and height, limits by their place over or under an operator. Where that does not add up, there is no
LaTeX, and the formula stays text.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace

from doctune.documents.latex_symbols import ACCENTS, ROOT, SIGNS, UnsureError, symbol_of

_SMALLER = 0.87  # of the size of what a script belongs to
_RAISED, _LOWERED = 0.15, 0.06  # em
_LEVEL = 0.3  # em: main characters share a baseline
_SLACK = 1.5  # points
_LETTER_GAP = 0.16  # em, between the letters of a name
_AXIS = 0.27  # em, of a fraction's bar over the baseline
_MAX_DEPTH = 12

_RELATIONS = frozenset("=<>\u2264\u2265\u2248\u2261\u2192\u21d2+")
_LIMITS = frozenset("\u222b\u222c\u222e\u2211\u220f\u22c3\u22c2")
_NAMES = frozenset(
    {
        *("sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh", "arcsin", "arccos"),
        *("arctan", "log", "ln", "exp", "lim", "max", "min", "sup", "inf", "det", "dim", "ker"),
        *("deg", "gcd", "arg", "Pr", "limsup", "liminf", "argmax", "argmin"),
    }
)
_UNDER = frozenset({"lim", "max", "min", "sup", "inf", "limsup", "liminf", "argmax", "argmin"})
_NO_LATEX = frozenset({"argmax", "argmin"})


@dataclass(slots=True, eq=False)  # thousands are made
class Glyph:
    """A character of a formula, or a part that is written already.

    Attributes:
        text: The character, or LaTeX.
        base: The height of its baseline; all heights grow downwards, in points.
        size: Of its font, in points.
        done: Whether `text` is LaTeX.
        limits: Whether scripts over and under it are limits.
    """

    text: str
    x0: float
    y0: float
    x1: float
    y1: float
    base: float
    size: float
    bold: bool = False
    done: bool = False
    limits: bool = False

    @property
    def hangs(self) -> bool:
        """Whether it is below its baseline."""
        return not self.done and self.base < (self.y0 + self.y1) / 2

    @property
    def middle(self) -> float:
        return (self.x0 + self.x1) / 2


@dataclass(frozen=True)
class Bar:
    """A horizontal rule."""

    x0: float
    x1: float
    y: float


def write_latex(glyphs: Sequence[Glyph], bars: Sequence[Bar]) -> str:
    """Returns a formula as LaTeX.

    Raises:
        UnsureError: The places of its characters do not say how it reads.
    """
    return _write(list(glyphs), list(bars), 0)


def _write(glyphs: list[Glyph], bars: list[Bar], depth: int) -> str:
    if depth > _MAX_DEPTH or not glyphs:
        raise UnsureError
    glyphs = _roots(_accented(glyphs), bars, depth)
    glyphs = _fractions(glyphs, bars, depth)
    glyphs = _named(sorted(glyphs, key=lambda glyph: glyph.x0))
    return _row(_limits(glyphs, depth), depth)


def _accented(glyphs: list[Glyph]) -> list[Glyph]:
    """Writes letters with their accents, which may be characters of their own."""
    accents = [glyph for glyph in glyphs if glyph.text in ACCENTS]
    for accent in accents:
        under = [
            g
            for g in glyphs
            if g.text.isalpha()
            and len(g.text) == 1
            and abs(g.middle - accent.middle) < 0.35 * accent.size
            and abs(g.base - accent.base) < 0.5 * accent.size
        ]
        if not under:
            raise UnsureError
        letter = min(under, key=lambda g: abs(g.middle - accent.middle))
        text = rf"\{ACCENTS[accent.text]}{{{_symbol(letter)}}}"
        part = replace(letter, text=text, done=True)
        glyphs = [part if g is letter else g for g in glyphs if g is not accent]
    return [_decomposed(glyph) for glyph in glyphs]


def _decomposed(glyph: Glyph) -> Glyph:
    """Writes a letter that includes its accent."""
    parts = unicodedata.normalize("NFD", glyph.text)
    if glyph.done or len(parts) != 2 or parts[1] not in ACCENTS:
        return glyph
    text = rf"\{ACCENTS[parts[1]]}{{{_symbol(replace(glyph, text=parts[0]))}}}"
    return replace(glyph, text=text, done=True)


def _roots(glyphs: list[Glyph], bars: list[Bar], depth: int) -> list[Glyph]:
    """Writes the roots; takes their rules out of the bars."""
    for sign in [glyph for glyph in glyphs if glyph.text == ROOT and not glyph.done]:
        rule = next(
            (
                bar
                for bar in bars
                if abs(bar.x0 - sign.x1) < 0.4 * sign.size
                and abs(bar.y - sign.y0) < 0.4 * sign.size
            ),
            None,
        )
        if rule is None:
            raise UnsureError
        bars.remove(rule)
        under = [
            glyph
            for glyph in glyphs
            if rule.x0 - _SLACK < glyph.middle < rule.x1 + _SLACK
            and glyph.y0 > rule.y - _SLACK
            and glyph.y0 < sign.y1
            and glyph is not sign
        ]
        inner = [bar for bar in bars if rule.x0 - _SLACK < bar.x0 and bar.x1 < rule.x1 + _SLACK]
        written = rf"\sqrt{{{_write(under, _taken(bars, inner, rule.y), depth + 1)}}}"
        main = max(under, key=lambda glyph: glyph.size)
        root = Glyph(written, sign.x0, rule.y, rule.x1, sign.y1, main.base, main.size, done=True)
        glyphs = [g for g in glyphs if g is not sign and not _holds(under, g)] + [root]
    return glyphs


def _taken(bars: list[Bar], inner: list[Bar], top: float) -> list[Bar]:
    """Takes the bars of a part out of all bars."""
    taken = [bar for bar in inner if bar.y > top]
    for bar in taken:
        bars.remove(bar)
    return taken


def _holds(glyphs: Sequence[Glyph], glyph: Glyph) -> bool:
    return any(other is glyph for other in glyphs)


def _fractions(glyphs: list[Glyph], bars: list[Bar], depth: int) -> list[Glyph]:
    """Writes the fractions, the widest first."""
    for bar in sorted(bars, key=lambda bar: bar.x0 - bar.x1):
        if bar not in bars:
            continue  # within another fraction
        bars.remove(bar)
        within = [g for g in glyphs if bar.x0 - _SLACK < g.middle < bar.x1 + _SLACK]
        over = [g for g in within if (g.y0 + g.y1) / 2 < bar.y]
        under = [g for g in within if not _holds(over, g)]
        if not over or not under:
            raise UnsureError
        inner = [b for b in bars if bar.x0 - _SLACK < b.x0 and b.x1 < bar.x1 + _SLACK]
        for other in inner:
            bars.remove(other)
        top = _write(over, [b for b in inner if b.y < bar.y], depth + 1)
        bottom = _write(under, [b for b in inner if b.y >= bar.y], depth + 1)
        size = max(glyph.size for glyph in within)
        part = Glyph(
            rf"\frac{{{top}}}{{{bottom}}}",
            *(bar.x0, min(g.y0 for g in over), bar.x1, max(g.y1 for g in under)),
            *(bar.y + _AXIS * size, size),
            done=True,
        )
        glyphs = [glyph for glyph in glyphs if not _holds(within, glyph)] + [part]
    return glyphs


def _named(glyphs: list[Glyph]) -> list[Glyph]:
    """Joins the letters of the names of functions."""
    joined: list[Glyph] = []
    place = 0
    while place < len(glyphs):
        stop = place + 1
        while stop < len(glyphs) and _follows(glyphs[stop - 1], glyphs[stop]):
            stop += 1
        name = "".join(glyph.text for glyph in glyphs[place:stop])
        known = [name[:length] for length in range(2, len(name) + 1) if name[:length] in _NAMES]
        if known:
            name, stop = known[-1], place + len(known[-1])
        if stop - place > 2 and name.islower() and name.isascii() and not known:
            raise UnsureError  # a word
        if known:
            first, last = glyphs[place], glyphs[stop - 1]
            text = rf"\operatorname{{{name}}}" if name in _NO_LATEX else rf"\{name}"
            joined.append(replace(first, text=text, x1=last.x1, done=True, limits=name in _UNDER))
        else:
            joined += glyphs[place:stop]
        place = stop
    return joined


def _follows(glyph: Glyph, other: Glyph) -> bool:
    letters = glyph.text.isalpha() and other.text.isalpha() and not glyph.done and not other.done
    near = other.x0 - glyph.x1 < _LETTER_GAP * glyph.size
    return letters and near and abs(other.base - glyph.base) < 0.05 * glyph.size


def _limits(glyphs: list[Glyph], depth: int) -> list[Glyph]:
    """Writes operators with what stands over and under them."""
    for sign in [g for g in glyphs if g.limits or (g.text in _LIMITS and not g.done)]:
        reach = 0.6 * sign.size
        near = [
            g
            for g in glyphs
            if g is not sign
            and g.size < _SMALLER * sign.size
            and sign.x0 - reach < g.middle < sign.x1 + reach
        ]
        near = _with_neighbours(near, glyphs, sign)
        over = [g for g in near if g.y1 <= sign.y0 + 0.1 * sign.size]
        under = [g for g in near if g.y0 >= sign.y1 - 0.1 * sign.size]
        if not over and not under:
            continue
        text = sign.text if sign.done else rf"\{SIGNS[sign.text]}"
        text += f"_{{{_row(under, depth + 1)}}}" if under else ""
        text += f"^{{{_row(over, depth + 1)}}}" if over else ""
        part = replace(sign, text=text, done=True, limits=False)
        glyphs = [
            part if g is sign else g for g in glyphs if not _holds(over, g) and not _holds(under, g)
        ]
    return glyphs


def _with_neighbours(near: list[Glyph], glyphs: list[Glyph], sign: Glyph) -> list[Glyph]:
    """Adds characters beside those over or under an operator: limits may be wider than it."""
    found = list(near)
    for _ in range(len(glyphs)):
        more = [
            g
            for g in glyphs
            if not _holds(found, g)
            and g.size < _SMALLER * sign.size
            and any(
                abs(g.base - other.base) < 0.3 * other.size
                and -_SLACK < max(g.x0 - other.x1, other.x0 - g.x1) < 0.3 * other.size
                for other in found
            )
        ]
        if not more:
            break
        found += more
    return sorted(found, key=lambda glyph: glyph.x0)


def _row(glyphs: Sequence[Glyph], depth: int) -> str:
    """Writes characters from left to right, with their scripts."""
    if not glyphs or depth > _MAX_DEPTH:
        raise UnsureError
    glyphs = sorted(glyphs, key=lambda glyph: glyph.x0)
    largest = max(glyph.size for glyph in glyphs)
    mains = [glyph for glyph in glyphs if glyph.size >= _SMALLER * largest]
    # TeX hangs tall brackets and operators below their baseline.
    bases = sorted(glyph.base for glyph in mains if not glyph.hangs)
    base = bases[len(bases) // 2] if bases else mains[0].base
    if any(abs(other - base) > _LEVEL * largest for other in bases):
        raise UnsureError  # several lines
    parts: list[str] = []
    place = 0
    while place < len(glyphs):
        nucleus = glyphs[place]
        if nucleus.size < _SMALLER * largest:
            raise UnsureError  # a script of nothing
        stop = place + 1
        while stop < len(glyphs) and glyphs[stop].size < _SMALLER * largest:
            stop += 1
        if stop > place + 1 and nucleus.text in _RELATIONS:
            raise UnsureError  # a relation has no script
        over, under = _scripts(nucleus, glyphs[place + 1 : stop], base, largest)
        text = _symbol(nucleus)
        text += f"_{{{_row(under, depth + 1)}}}" if under else ""
        text += f"^{{{_row(over, depth + 1)}}}" if over else ""
        parts.append(text)
        place = stop
    return _joined(parts)


def _scripts(
    nucleus: Glyph, small: Sequence[Glyph], base: float, size: float
) -> tuple[list[Glyph], list[Glyph]]:
    over: list[Glyph] = []
    under: list[Glyph] = []
    for glyph in small:
        rise = base - glyph.base
        nested = [part for part in (over, under) if part and glyph.size < _SMALLER * part[0].size]
        if nested:
            closest = min(nested, key=lambda part: abs(part[0].base - glyph.base))
            closest.append(glyph)
        elif rise > _RAISED * size:
            over.append(glyph)
        elif rise < -_LOWERED * size or nucleus.text in _LIMITS:
            under.append(glyph)
        else:
            raise UnsureError
    return over, under


def _symbol(glyph: Glyph) -> str:
    return glyph.text if glyph.done else symbol_of(glyph.text, glyph.bold)


def _joined(parts: Sequence[str]) -> str:
    """Joins parts, with a space after a command before a letter."""
    joined: list[str] = []
    command = False  # whether the text so far ends in one
    for part in parts:
        if command and part[:1].isalpha():
            joined.append(" ")
        joined.append(part)
        _, sign, name = part.rpartition("\\")
        command = bool(sign) and name.isascii() and name.isalpha()
    return "".join(joined)
