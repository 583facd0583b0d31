"""Soft hyphens for justified text, from a short list of the handbook's own long words."""

import re

_POINTS = """
ac-cord-ing ad-just-ment agree-ment al-low-ance am-ber be-tween brail-ing bul-le-tin
car-tridge cap-i-tal cen-time-tre cen-time-tres cis-tern cis-terns clean-ing com-mis-sion-ing
com-mis-sioned com-plete com-pletely con-di-tion con-duc-tiv-ity con-nec-tor con-sum-able
con-sum-ables con-tinue con-trol cor-rect cov-ered crack-ling cus-tomer dam-age de-frost
de-gree de-grees de-liv-ered dis-charge dis-con-nect dif-fer-ence droplet drop-lets
elec-tri-cal en-gi-neer ev-ery ex-change ex-chang-ing fac-tory fas-ten-ing fal-low fin-ger
fit-ting fol-low fol-low-ing gas-ket hand-book har-vester heater in-spec-tion in-stal-la-tion
in-ter-val in-ter-vals kilo-gram lad-der lit-tle main-te-nance mag-net mea-sure-ment
mea-sured me-chan-i-cal mem-brane mil-lime-tre mil-lime-tres min-eral min-utes mod-ule
mois-ture mo-tor nar-row nor-mal num-ber open-ing op-er-at-ing op-er-a-tion or-der owner
part-ner part-ners per-ma-nent plas-tic po-si-tion pos-si-ble pres-sure pro-ce-dure
prod-uct prop-erly re-as-sem-ble re-as-sem-bly re-mem-ber re-mov-ing re-place
re-place-ment re-placed re-placing re-ported re-quired re-sis-tance rol-ler sec-onds
ser-vice ser-viced set-tings sig-nal some-times ten-sion ter-mi-nal thread-ing thresh-old
tight-ened to-gether tol-er-ance tol-len un-der un-til ver-ti-cal volt-age warn-ing
war-ranty wa-ter weath-er with-out work-shop
"""
_SOFT_HYPHEN = "\u00ad"
_HYPHENATED = {word.replace("-", ""): word.split("-") for word in _POINTS.split()}
_WORD = re.compile(r"[A-Za-z]+")


def with_soft_hyphens(text: str) -> str:
    """Mark where the words of the list may break at a line's end; keep their capitals."""
    return _WORD.sub(lambda match: _mark(match[0]), text)


def _mark(word: str) -> str:
    parts = _HYPHENATED.get(word.lower())
    if parts is None:
        return word
    pieces, start = [], 0
    for part in parts:
        pieces.append(word[start : start + len(part)])
        start += len(part)
    return _SOFT_HYPHEN.join(pieces)
