"""Text of all scripts: its order, its spaces, its characters."""

from pathlib import Path

import pytest

from doctune.documents import parse_pdf
from doctune.documents.language import detect_language
from doctune.documents.lines import Line
from doctune.documents.vertical import is_column, join_columns, level_columns
from doctune.documents.words import clean_text, join_lines
from tests.documents.rawpdf import one_page, stream, write_raw

SHALOM, OLAM = "\u05e9\u05dc\u05d5\u05dd", "\u05e2\u05d5\u05dc\u05dd"
MARHABA, ALAM = "\u0645\u0631\u062d\u0628\u0627", "\u0628\u0627\u0644\u0639\u0627\u0644\u0645"


def write_mapped(path: Path, rows: list[str]) -> Path:
    """Writes rows of any characters, drawn from the left in the order given."""
    codes = {char: 65 + index for index, char in enumerate(sorted(set("".join(rows))))}
    mapping = "".join(
        f"<{code:02X}> <{char.encode('utf-16-be').hex()}>\n" for char, code in codes.items()
    )
    cmap = (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /X def "
        "1 begincodespacerange <00> <FF> endcodespacerange\n"
        f"{len(codes)} beginbfchar\n{mapping}endbfchar endcmap end end"
    )
    shown = [
        f"BT /F1 12 Tf 72 {700 - 14 * number} Td <{bytes(codes[c] for c in row).hex()}> Tj ET"
        for number, row in enumerate(rows)
    ]
    objects = one_page(stream(" ".join(shown).encode()))
    objects[5] = objects[5].replace(b" >>", b" /ToUnicode 6 0 R >>")
    objects[6] = stream(cmap.encode())
    return write_raw(path, objects)


@pytest.mark.parametrize(
    ("drawn", "read"),
    [
        ([f"{SHALOM} {OLAM}"[::-1]], f"{SHALOM} {OLAM}"),
        ([f"{MARHABA} {ALAM}"[::-1]], f"{MARHABA} {ALAM}"),
        ([f"{OLAM[::-1]} 123 {SHALOM[::-1]}"], f"{SHALOM} 123 {OLAM}"),
        ([f"{OLAM[::-1]} PDF {SHALOM[::-1]}"], f"{SHALOM} PDF {OLAM}"),
        ([f"The word {SHALOM[::-1]} means peace"], f"The word {SHALOM} means peace"),
        ([f"{SHALOM} {OLAM}"[::-1], f"{OLAM} {SHALOM}"[::-1]], f"{SHALOM} {OLAM} {OLAM} {SHALOM}"),
    ],
    ids=["Hebrew", "Arabic", "number", "Latin within", "within Latin", "two lines"],
)
def test_right_to_left_text_is_in_logical_order(
    tmp_path: Path, drawn: list[str], read: str
) -> None:
    assert parse_pdf(write_mapped(tmp_path / "rtl.pdf", drawn)).text == read


def test_arabic_letters_by_shape_become_letters(tmp_path: Path) -> None:
    shapes = "\ufee3\ufeae\ufea3\ufe92\ufe8e"
    assert parse_pdf(write_mapped(tmp_path / "shapes.pdf", [shapes[::-1]])).text == MARHABA


@pytest.mark.parametrize(
    ("lines", "joined"),
    [
        (["\u4e2d\u6587", "\u6587\u672c"], "\u4e2d\u6587\u6587\u672c"),
        (
            ["\u3067\u3059\u3002", "\u6b21\u306f\u3001", "\u672c"],
            "\u3067\u3059\u3002\u6b21\u306f\u3001\u672c",
        ),
        (["\u201c\u4e2d\u300d", "\u300c\u6587"], "\u201c\u4e2d\u300d\u300c\u6587"),
        (["\ud55c\uad6d\uc5b4", "\ubb38\uc7a5"], "\ud55c\uad6d\uc5b4 \ubb38\uc7a5"),
        (["one", "two"], "one two"),
    ],
    ids=["Chinese", "Japanese", "brackets", "Korean", "English"],
)
def test_lines_are_joined_by_what_their_script_sets_between_words(
    lines: list[str], joined: str
) -> None:
    assert join_lines(lines) == joined


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("e\ufb03cient \ufb02ow\u00ad\u200b here", "efficient flow here"),
        ("cafe\u0301", "caf\u00e9"),
        ("\u2f64\u6237", "\u7528\u6237"),
        ("\uf0b7 Open", "\u2022 Open"),
        ("12\u202f000\u2009m", "12 000 m"),
        ("non\u2011free", "non-free"),
        ("\u200ftext\u200e", "text"),
        ("x\u00b2 \uff21", "x\u00b2 \uff21"),
    ],
    ids=["ligatures", "accents", "radicals", "bullets", "spaces", "hyphens", "marks", "kept"],
)
def test_characters_are_those_that_were_meant(text: str, cleaned: str) -> None:
    assert clean_text(text) == cleaned


def test_characters_without_unicode_are_reported(tmp_path: Path) -> None:
    path = write_mapped(tmp_path / "unmapped.pdf", ["ten letters \ufffd\ufffd\ufffd"])
    (warning,) = parse_pdf(path).warnings
    assert warning.startswith("3 of 15 characters have no Unicode")


@pytest.mark.parametrize("bullet", ["\u2022", "\uf0b7", "\uf0a7", "\u25ba", "\u2713"])
def test_items_are_told_by_bullets_of_any_font(tmp_path: Path, bullet: str) -> None:
    path = write_mapped(tmp_path / "items.pdf", [f"{bullet} Open the valve", f"{bullet} Start it"])
    assert [block.kind for block in parse_pdf(path).blocks] == ["list", "list"]
    assert parse_pdf(path).markdown == "- Open the valve\n- Start it\n"


def test_a_letter_that_stands_alone_names_no_language() -> None:
    text = "(a) An example scene (b) Visualization of a found segmentation"
    assert detect_language(text) == "en"


@pytest.mark.parametrize(
    ("sign", "letter"), [("\uf761", "a"), ("\uf77a", "z"), ("\uf730", "0"), ("\uf739", "9")]
)
def test_small_capitals_and_old_figures_are_letters_and_digits(sign: str, letter: str) -> None:
    assert clean_text(sign) == letter


def write_glyphs(path: Path, glyphs: list[tuple[str, float, float]]) -> Path:
    """Writes each glyph as a text object of its own, as browsers do."""
    codes = {char: 65 + index for index, char in enumerate(sorted({g[0] for g in glyphs}))}
    path = write_mapped(path, ["".join(sorted(codes))])
    shown = "".join(
        f"BT /F1 12 Tf {x} {y} Td <{codes[char]:02X}> Tj ET\n" for char, x, y in glyphs
    ).encode()
    whole = path.read_bytes()
    begin = whole.index(b"stream\n", whole.index(b"4 0 obj")) + 7
    end = whole.index(b"endstream", begin)
    # Longer than the stream that it replaces: the offsets are repaired by the reader.
    path.write_bytes(whole[:begin] + shown + b"\n" + whole[end:])
    return path


def test_glyphs_that_stand_one_by_one_are_put_in_logical_order(tmp_path: Path) -> None:
    read = f"{SHALOM} 2019, {OLAM}"
    drawn = f"{OLAM[::-1]} ,2019 {SHALOM[::-1]}"
    # Drawn word by word, from the end of the line to its begin.
    glyphs = [(char, 72.0 + 8 * place, 700.0) for place, char in enumerate(drawn) if char != " "]
    path = write_glyphs(tmp_path / "a.pdf", glyphs[::-1])
    assert parse_pdf(path).text == read


def test_letters_below_each_other_are_columns() -> None:
    columns = [
        "\u6c34\u304c\u4f4e\u304f\u306a\u308b\u3068\u52d5\u304d",
        "\u6b62\u307e\u308b\u3002",
        "\u5f01",
    ]
    lines = [lettered("Heading of the page", 72, 40)]
    for number, column in enumerate(columns):
        for place, char in enumerate(column):
            lines.append(lettered(char, 300.0 - 16 * number, 60.0 + 12 * place))
    heading, *found = join_columns(lines)
    assert heading.text == "Heading of the page"
    assert [line.text for line in found] == columns
    assert all(is_column(line) for line in found)
    levelled = level_columns(found, 600.0, 800.0)
    assert [line.text for line in levelled] == columns
    assert levelled[0].y0 < levelled[1].y0 < levelled[2].y0


def lettered(text: str, x: float, y: float) -> Line:
    line = Line(text, 0, False)
    line.x0, line.y0, line.x1, line.y1, line.size = x, y, x + 12 * len(text), y + 12, 12.0
    return line


def test_an_initial_is_the_first_letter_of_its_paragraph(tmp_path: Path) -> None:
    lines = [
        "nce a pump stood in the yard, and",
        "nobody knew how to make it run, for",
        "years and years.",
    ]
    shown = "BT /F1 40 Tf 72 674 Td (O) Tj ET\n"
    places = ((105, 696), (105, 682), (72, 668))
    for (x, y), line in zip(places, lines, strict=True):
        shown += f"BT /F1 11 Tf {x} {y} Td ({line}) Tj ET\n"
    path = write_raw(tmp_path / "a.pdf", one_page(stream(shown.encode())))
    assert parse_pdf(path).text == "O" + " ".join(lines)


def test_characters_beyond_the_first_plane_shift_no_position(tmp_path: Path) -> None:
    rows = [
        "The letter \U0001d44e stands here, and then",
        "comes \U0001f600 in the last line of all.",
    ]
    path = write_mapped(tmp_path / "a.pdf", rows)
    (page,) = parse_pdf(path).pages
    assert page.text == " ".join(rows)
    assert (page.hidden_chars, page.lost_chars) == (0, 0)
    (block,) = page.blocks
    assert block.bbox[2] > 200  # as wide as what is drawn
