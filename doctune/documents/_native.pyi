"""The functions of _native.c; what they do stands beside their twins in Python."""

from doctune.documents.characters import Reading, Word
from doctune.documents.drawing import Edge
from doctune.documents.geometry import PageSpace
from doctune.documents.model import BBox

def function_names() -> tuple[str, ...]: ...
def bind(addresses: tuple[int, ...], /) -> None: ...
def read_lines(
    handle: int, maps: bool, space: PageSpace, text: str, /
) -> list[Reading]: ...
def find_words(
    handle: int, maps: bool, space: PageSpace, spans: list[tuple[str, int]], word: type[Word], /
) -> list[Word]: ...
def read_drawing(
    page: int, space: PageSpace, edge: type[Edge], /
) -> tuple[list[Edge], list[Edge], list[BBox], list[BBox]]: ...
