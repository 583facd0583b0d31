"""Soft hyphens for justified text, from a short list of the handbook's own long words."""

import re

_POINTS = """
ac-cord-ing ad-just ad-just-ment after-noon agree-ment agree-ments al-low-ance al-though
al-ways am-ber am-peres an-nounced an-other any-thing ap-pears ap-plies ar-rives au-tumn
bear-ing bear-ings be-cause be-fore be-gins be-hind be-sides be-tween bot-tom brail-ing
bul-le-tin can-not cap-i-tal cap-tion car-riage car-tridge car-tridges cen-time-tre
cen-time-tres ce-ramic charg-ing chil-dren chip-ping cis-tern cis-terns clean-ing col-lar
com-mis-sioned com-mis-sion-ing com-pare com-plete com-pletely con-cern con-di-tion
con-duc-tiv-ity con-nect con-nected con-nec-tor con-sole con-sum-able con-sum-ables con-tinue
con-trol cor-rect cor-ro-sion cou-plings cov-ered crack-ling crum-bled cus-tomer dam-age
de-cides de-frost de-gree de-grees de-liv-ered de-liv-ery dif-fer-ence dif-fers di-rec-tions
dis-charge dis-con-nect dis-play dis-putes drop-lets ear-lier ec-cen-tric ei-ther elec-tri-cal
else-where en-dan-ger en-gi-neer en-tered ev-ery ev-ery-thing ex-cept ex-change ex-changed
ex-chang-ing ex-port ex-tend ex-tended fac-tory fad-ing fail-ure fal-low fas-ten-ing fil-ters
find-ing fit-ted fit-ting flick-ers fog-line fog-works fold-ing fol-low fol-low-ing fol-lows
fre-quency gar-den-ers gas-ket gas-kets gen-tly hand-book har-bour har-vested har-vester
head-ings heat-ers in-side in-spect in-spec-tion in-stal-la-tion in-stead in-ter-val
in-ter-vals it-self kilo-gram kilo-watt lad-der leaf-let lis-ten load-ing lon-ger luke-warm
mag-net main-te-nance mak-ing mar-let mar-lets mea-sured mea-sure-ment me-chan-i-cal mem-brane
mi-cro-siemens mid-dle mil-li-grams mil-lime-tre mil-lime-tres min-eral min-er-als min-utes
mis-take mod-ule mois-ture mo-tor mo-tors nar-row nei-ther ner-vous news-pa-per new-ton
new-tons nim-brel no-body nor-mal noth-ing no-tice no-ticed no-tify no-vem-ber num-ber num-bers
oc-to-ber open-ing op-er-at-ing op-er-a-tion or-der oth-ers out-side over-due over-wind own-ers
pack-ing par-cel par-tic-u-lar part-ner part-ners peo-ple per-ma-nent pho-to-graphs plas-tic
pol-icy po-si-tion pos-si-ble pres-sure pro-ce-dure prod-uct pro-gram prom-ise prop-erly
pro-vided pur-chase pur-pose quar-ter ques-tion re-as-sem-ble re-as-sem-bly re-call re-called
re-calls re-ceipt ref-er-ence re-fund re-funded re-funds re-fuse re-fused reg-is-tered
reg-is-ters reg-is-tra-tion re-mains re-mem-ber re-minder re-mov-ing re-pair re-paired re-place
re-placed re-place-ment re-placing re-ported re-quired re-sis-tance re-stock-ing re-sult
re-turn re-turned re-turns re-writ-ten roll-er rub-ber sal-low scrap-ing sec-ond sec-onds
sec-tion seed-lings sen-sor sep-tem-ber se-rial ser-vice ser-viced set-tings sig-nal slip-ping
sol-vent some-times span-ner stor-age suf-fi-cient sum-mer sup-ply sur-vive ten-sion ten-sioner
ter-mi-nal test-ing thread-ing thresh-old thun-der-storm tight-ened to-gether tol-er-ance
tol-len tol-lens un-der un-opened un-til un-used val-ues ver-sion ver-ti-cal volt-age
volt-meter warn-ing war-rants war-ranty wash-ing wa-ter weath-er what-ever which-ever who-ever
wind-ward win-ter win-tered with-out work-ing work-shop
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
