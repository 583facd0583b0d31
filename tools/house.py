"""Checks the import layers of doctune (its "rooms"), and draws them.

    python tools/house.py check           # check the imports against docs/architecture.md
    python tools/house.py draw [--check]  # draw the picture in it, from the imports

The tables of docs/architecture.md are the only source of the rules: import-linter's contracts are
made from them. Exit code 1: an import breaks a rule, or (with --check) the picture is out of date.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import grimp
from importlinter.application.output import console
from importlinter.configuration import configure
from importlinter.contracts.acyclic_siblings import AcyclicSiblingsContract
from importlinter.contracts.forbidden import ForbiddenContract
from importlinter.contracts.layers import LayersContract

sys.path.insert(0, str(Path(__file__).parents[1]))

from tools.import_graph import PackageImport, external_imports, import_graph

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/architecture.md"

_BEGIN, _END = "<!-- picture: python tools/house.py draw -->", "<!-- end of the picture -->"
_REDRAW = "run `python tools/house.py draw`"
_CODE = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class Room:
    """A package of doctune.

    Attributes:
        layer: 1 is the top; a room imports from lower layers only.
        forbidden: Rooms of lower layers that it must not import directly.
    """

    name: str
    layer: int
    forbidden: tuple[str, ...]


@dataclass(frozen=True)
class House:
    """The import rules of docs/architecture.md.

    Attributes:
        shared: The modules at the top of doctune, which all rooms may import.
        packages: For each restricted package, the rooms or modules that may import it.
    """

    rooms: tuple[Room, ...]
    shared: tuple[str, ...]
    packages: dict[str, tuple[str, ...]]


def read_house(page: Path = PAGE) -> House:
    """Reads the tables of docs/architecture.md.

    Raises:
        ValueError: A table is missing.
    """
    text = page.read_text(encoding="utf-8")
    rooms = tuple(
        Room(_CODE.findall(room)[0], int(layer), tuple(_CODE.findall(forbidden)))
        for layer, room, _, forbidden in _rows(text, "layer", 4)
        if layer.isdigit()
    )
    (shared,) = [row[1] for row in _rows(text, "layer", 4) if not row[0].isdigit()]
    packages = {
        package: tuple(_CODE.findall(importers))
        for cell, importers in _rows(text, "package", 2)
        for package in _CODE.findall(cell)
    }
    return House(rooms, tuple(_CODE.findall(shared)), packages)


def _rows(text: str, first_header: str, columns: int) -> list[list[str]]:
    """Returns the rows of the table whose first header is `first_header`."""
    rows = [
        [cell.strip() for cell in line.strip().strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]
    rows = [row for row in rows if len(row) == columns and not set(row[0]) <= set("-: ")]
    starts = [number for number, row in enumerate(rows) if row[0] == first_header]
    if not starts:
        raise ValueError(f"docs/architecture.md has no table that begins with | {first_header} |.")
    return rows[starts[0] + 1 :]


def broken_walls(
    house: House, package: str = "doctune", above: tuple[str, ...] = ("pipelines", "components")
) -> list[str]:
    """Returns a message for each import that breaks a rule.

    Args:
        package: The package whose children are the rooms.
        above: Packages that may import it, topmost first.
    """
    configure()
    graph = import_graph(package, *above)
    found = [*_broken_contracts(house, graph, package, above)]
    found += [
        f"{use.importer}:{use.line} imports {use.name}: of {package}, only {', '.join(allowed)} "
        "may (docs/architecture.md)."
        for use in external_imports(package)
        for allowed in [_allowed(use, house, package)]
        if allowed is not None
    ]
    try:
        TopologicalSorter(
            {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
        ).prepare()
    except CycleError as error:
        found.append(f"These modules import each other: {' <- '.join(error.args[1])}.")
    return found


def _allowed(use: PackageImport, house: House, package: str) -> tuple[str, ...] | None:
    """Returns the allowed importers of a restricted package, or None where `use` is allowed."""
    for name, importers in house.packages.items():
        if use.name == name or use.name.startswith(f"{name}."):
            mine = (f"{package}.{importer}" for importer in importers)
            if not any(use.importer == one or use.importer.startswith(f"{one}.") for one in mine):
                return importers
    return None


def _broken_contracts(
    house: House, graph: grimp.ImportGraph, package: str, above: tuple[str, ...]
) -> Iterator[str]:
    for contract in _contracts(house, graph, package, above):
        check = contract.check(graph, verbose=False)
        if not check.kept:
            with console.capture() as capture:
                contract.render_broken_contract(check)
            yield f"{contract.name}:\n{capture.get().strip()}"


def _contracts(
    house: House, graph: grimp.ImportGraph, package: str, above: tuple[str, ...]
) -> Iterator[Any]:
    session = {"root_packages": [package, *above]}
    layers: dict[int, list[str]] = {}
    for room in house.rooms:
        layers.setdefault(room.layer, []).append(f"({room.name})")
    ordered = [" | ".join(layers[layer]) for layer in sorted(layers)]
    shared = " : ".join(f"({name})" for name in house.shared)
    yield LayersContract(
        "Each room imports from lower layers only, and has a row in docs/architecture.md",
        session,
        {
            "layers": [*ordered, shared],
            "containers": [package],
            "exhaustive": "true",
            "exhaustive_ignores": ["__main__"],
        },
    )
    yield LayersContract(
        f"{package} never imports {' or '.join(above)}", session, {"layers": [*above, package]}
    )
    yield AcyclicSiblingsContract("No circle of imports", session, {"ancestors": [package]})
    for room in house.rooms:
        there = [
            f"{package}.{name}"
            for name in room.forbidden
            if f"{package}.{name}" in graph.modules and f"{package}.{room.name}" in graph.modules
        ]
        if there:
            yield ForbiddenContract(
                f"{room.name} knows nothing of {', '.join(room.forbidden)}",
                session,
                {
                    "source_modules": [f"{package}.{room.name}"],
                    "forbidden_modules": there,
                    "allow_indirect_imports": "true",
                },
            )


def draw(house: House, package: str = "doctune") -> str:
    """Returns a Mermaid graph with an arrow from each room to those that it imports.

    Arrows that follow from others by transitivity are left out.
    """
    graph = import_graph(package)
    uses = _room_imports(house, graph, package)
    lines = ["```mermaid", "graph TD"]
    layers = sorted({room.layer for room in house.rooms})
    for layer in layers:
        here = [room.name for room in house.rooms if room.layer == layer and room.name in uses]
        lines += [f"    {name}" for name in here]
    for name in uses:
        lines += [f"    {name} --> {other}" for other in _not_implied(name, uses)]
    return "\n".join([*lines, "```"])


def _room_imports(house: House, graph: grimp.ImportGraph, package: str) -> dict[str, list[str]]:
    names = [room.name for room in house.rooms if f"{package}.{room.name}" in graph.modules]
    return {
        name: [
            other
            for other in names
            if other != name
            and graph.direct_import_exists(
                importer=f"{package}.{name}", imported=f"{package}.{other}", as_packages=True
            )
        ]
        for name in names
    }


def _not_implied(name: str, uses: dict[str, list[str]]) -> list[str]:
    def reached(start: str) -> set[str]:
        found: set[str] = set()
        open_ends = list(uses[start])
        while open_ends:
            room = open_ends.pop()
            if room not in found:
                found.add(room)
                open_ends += uses[room]
        return found

    return [
        other
        for other in uses[name]
        if not any(other in reached(between) for between in uses[name] if between != other)
    ]


def with_picture(text: str, picture: str) -> str:
    """Returns a page's text with the picture inserted between its two markers."""
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n{picture}\n{_END}{after}"


def main(arguments: list[str] | None = None) -> int:
    """Checks the imports or draws the picture; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("check", help="Check that all imports follow the rules.")
    drawing = verbs.add_parser("draw", help="Draw the picture into docs/architecture.md.")
    drawing.add_argument(
        "--check", action="store_true", help="Write nothing; fail if the picture is out of date."
    )
    chosen = parser.parse_args(arguments)
    house = read_house()
    if chosen.verb == "check":
        broken = broken_walls(house)
        sys.stderr.write("".join(f"{line}\n" for line in broken))
        return int(bool(broken))
    text = PAGE.read_text(encoding="utf-8")
    drawn = with_picture(text, draw(house))
    if drawn != text and chosen.check:
        sys.stderr.write(f"The picture in docs/architecture.md is out of date: {_REDRAW}.\n")
        return 1
    PAGE.write_text(drawn, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
