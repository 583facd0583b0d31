"""The LaTeX of single characters: Greek letters, signs, accents."""

import unicodedata
from functools import lru_cache

from doctune.documents.characters import NOTHING

_GREEK = dict(
    zip(
        "\u03b1\u03b2\u03b3\u03b4\u03b5\u03b6\u03b7\u03b8\u03b9\u03ba\u03bb\u03bc\u03bd\u03be\u03c0\u03c1"
        "\u03c3\u03c4\u03c5\u03c6\u03c7\u03c8\u03c9\u0393\u0394\u0398\u039b\u039e\u03a0\u03a3\u03a5\u03a6"
        "\u03a8\u03a9\u03f5\u03d5\u03d1\u03f1\u03c2",
        (
            *("alpha", "beta", "gamma", "delta", "varepsilon", "zeta", "eta", "theta", "iota"),
            *("kappa", "lambda", "mu", "nu", "xi", "pi", "rho", "sigma", "tau", "upsilon"),
            *("varphi", "chi", "psi", "omega", "Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi"),
            *("Sigma", "Upsilon", "Phi", "Psi", "Omega", "epsilon", "phi", "vartheta"),
            *("varrho", "varsigma"),
        ),
        strict=True,
    )
)
SIGNS = {
    "\u2202": "partial", "\u2207": "nabla", "\u222b": "int", "\u222c": "iint", "\u222e": "oint",
    "\u2211": "sum", "\u220f": "prod", "\u22c3": "bigcup", "\u22c2": "bigcap", "\u221e": "infty",
    "\u00d7": "times", "\u22c5": "cdot", "\u00b7": "cdot", "\u00f7": "div", "\u00b1": "pm",
    "\u2213": "mp", "\u2264": "leq", "\u2265": "geq", "\u2260": "neq", "\u2248": "approx",
    "\u2261": "equiv", "\u223c": "sim", "\u2243": "simeq", "\u2245": "cong", "\u221d": "propto",
    "\u2192": "rightarrow", "\u2190": "leftarrow", "\u2194": "leftrightarrow",
    "\u21d2": "Rightarrow", "\u21d4": "Leftrightarrow", "\u21a6": "mapsto", "\u2208": "in",
    "\u2209": "notin", "\u220b": "ni", "\u2282": "subset", "\u2286": "subseteq",
    "\u2283": "supset", "\u2287": "supseteq", "\u222a": "cup", "\u2229": "cap",
    "\u2205": "emptyset", "\u2200": "forall", "\u2203": "exists", "\u00ac": "neg",
    "\u2227": "wedge", "\u2228": "vee", "\u2295": "oplus", "\u2297": "otimes", "\u2299": "odot",
    "\u2218": "circ", "\u22c6": "star", "\u2217": "ast", "\u27e8": "langle", "\u27e9": "rangle",
    "\u2016": "|", "\u2225": "parallel", "\u22a5": "perp", "\u210f": "hbar", "\u2113": "ell",
    "\u211c": "Re", "\u2111": "Im", "\u2135": "aleph", "\u226a": "ll", "\u226b": "gg",
    "\u2026": "ldots", "\u22ef": "cdots", "\u22ee": "vdots", "\u2020": "dagger",
    "\u230a": "lfloor", "\u230b": "rfloor", "\u2308": "lceil", "\u2309": "rceil",
    "\u2124": "mathbb{Z}", "\u211d": "mathbb{R}", "\u2115": "mathbb{N}", "\u2102": "mathbb{C}",
    "\u211a": "mathbb{Q}", "\u2119": "mathbb{P}",
}  # fmt: skip
_PLAIN = {"\u2212": "-", "\u2032": "'", "\u2033": "''", "{": r"\{", "}": r"\}", "%": r"\%",
          "#": r"\#", "&": r"\&", "$": r"\$", "_": r"\_"}  # fmt: skip
ACCENTS = {
    **dict.fromkeys("\u02dc\u0303", "tilde"),
    **dict.fromkeys("\u02c6\u0302", "hat"),
    **dict.fromkeys("\u00af\u02c9\u0304", "bar"),
    **dict.fromkeys("\u02d9\u0307", "dot"),
    **dict.fromkeys("\u00a8\u0308", "ddot"),
    **dict.fromkeys("\u02c7\u030c", "check"),
}
ROOT = "\u221a"
_MOST_KNOWN = 4_096  # characters


class UnsureError(Exception):
    """What is drawn does not add up to a formula."""


def symbol_of(text: str, bold: bool = False) -> str:
    """Returns the LaTeX of a character.

    Raises:
        UnsureError: There is none.
    """
    if text > "\uffff":
        text = unicodedata.normalize("NFKC", text)  # letters of mathematics by their style
    if text in _GREEK:
        return f"\\{_GREEK[text]}"
    if text in SIGNS:
        return f"\\{SIGNS[text]}"
    if text in _PLAIN:
        return _PLAIN[text]
    if text.isascii() and text.isprintable() and text != "\\":
        return rf"\mathbf{{{text}}}" if bold and text.isalpha() else text
    raise UnsureError


def can_write(text: str) -> bool:
    """Returns whether there is LaTeX for each character, unlike those of fonts without a map."""
    return (text.isascii() and text.isprintable()) or all(map(_is_known, text))


@lru_cache(maxsize=_MOST_KNOWN)
def _is_known(char: str) -> bool:
    if char.isspace() or char in (NOTHING, ROOT) or char in ACCENTS:
        return True
    parts = unicodedata.normalize("NFD", char)
    if len(parts) == 2 and parts[1] in ACCENTS:
        char = parts[0]
    try:
        symbol_of(char)
    except UnsureError:
        return False
    return True
