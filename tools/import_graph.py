"""The imports of a package, including those that grimp does not see.

grimp reads all `import` statements, also in functions and under TYPE_CHECKING. This module adds
modules that are named by a string: the argument of `import_module` or `__import__`, of a program's
`-m`, and tables of lazily loaded names.
"""

import ast
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grimp

_IMPORTERS = ("import_module", "__import__")


@dataclass(frozen=True)
class PackageImport:
    """An import of a name from outside the package."""

    importer: str
    name: str
    line: int


def import_graph(package: str, *others: str) -> grimp.ImportGraph:
    """Returns the graph of imports between the modules of the packages.

    Lazily loaded names of a package (`__getattr__` in its `__init__`) count as imports of the
    module that uses them, not of the package.
    """
    graph = grimp.build_graph(package, *others, cache_dir=None)
    for root in (package, *others):
        for name, path in _modules(root):
            _settle_compiled(graph, name)
            if path.name == "__init__.py":
                continue
            for named, line in _named_modules(path, package):
                target = _known_module(graph, named)
                if target and target != name:
                    graph.add_import(
                        importer=name, imported=target, line_number=line, line_contents=repr(named)
                    )
    return graph


def external_imports(package: str) -> Iterator[PackageImport]:
    """Yields the imports of names outside a package, by their full name."""
    for importer, path in _modules(package):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            for name in _imported_names(node):
                if name.split(".")[0] != package:
                    yield PackageImport(importer, name, getattr(node, "lineno", 0))


def _imported_names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
        # `from google import cloud` imports google.cloud.
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Call) and (named := _literal_import(node)):
        yield named


def _literal_import(call: ast.Call) -> str:
    function = call.func
    called = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if called in _IMPORTERS and call.args and isinstance(call.args[0], ast.Constant):
        return str(call.args[0].value)
    return ""


def _named_modules(path: Path, package: str) -> Iterator[tuple[str, int]]:
    """Yields the modules that strings and calls name, with their line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and (named := _literal_import(node)):
            yield named, node.lineno
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            parts = node.value.split(".")
            # A room's name is also its logger's name.
            if parts[0] == package and len(parts) > 2 and all(map(str.isidentifier, parts)):
                yield node.value, node.lineno


def _known_module(graph: grimp.ImportGraph, name: str) -> str:
    return name if name in graph.modules else ""


def _settle_compiled(graph: grimp.ImportGraph, name: str) -> None:
    """Redirects imports that grimp resolved to a package to its compiled module."""
    package = name.rpartition(".")[0]
    if package not in graph.modules:
        return
    if not graph.direct_import_exists(importer=name, imported=package):
        return
    for found in graph.get_import_details(importer=name, imported=package):
        folder = Path(str(_location(package))).parent
        imported = found["line_contents"].rpartition(" import ")[2]
        if not all((folder / f"{part.strip()}.pyi").is_file() for part in imported.split(",")):
            return
    graph.remove_import(importer=name, imported=package)


def _modules(package: str) -> Iterator[tuple[str, Path]]:
    """Yields the name and the file of each module of a package."""
    folder = Path(str(_location(package))).parent
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder.parent).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def _location(package: str) -> str:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ValueError(f"There is no package {package}.")
    return spec.origin
