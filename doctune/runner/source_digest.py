"""The digest of the code that a step runs: its own body and all doctune modules that it imports.

On Vertex AI changed code has a new image tag, which is part of a step's cache key. On a laptop the
code runs from its files, so their digest takes the place of the tag: a changed line invalidates the
steps that import its module, directly or indirectly, and no others.
"""

import ast
import contextlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from doctune.digests import digest_value

_PACKAGE = "doctune"
_ROOT = Path(__file__).resolve().parent.parent
_DATA_SUFFIXES = {".c", ".css", ".html", ".js", ".json", ".md", ".txt"}


def source_digest(command: Sequence[str]) -> str:
    """Returns a digest of the doctune files that a component's command imports, at any depth.

    Args:
        command: The command of a lightweight component; one of its parts is Python source.
    """
    modules: set[str] = set()
    for part in command:
        # The other parts are the shell's and kfp's arguments.
        with contextlib.suppress(SyntaxError):
            modules |= _imported_modules(ast.parse(part), _PACKAGE)
    files = _reachable(modules)
    return digest_value(
        {path.relative_to(_ROOT).as_posix(): _content(path) for path in sorted(files)}
    )


def _reachable(modules: set[str]) -> set[Path]:
    waiting, seen = list(modules), set[str]()
    files: set[Path] = set()
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        path = _file_of(module)
        if path is None:
            continue
        files.add(path)
        if path.name == "__init__.py" and module != _PACKAGE:
            files |= _data_files(path.parent)
        waiting.extend(_modules_of(path, module))
    return files


@cache
def _modules_of(path: Path, module: str) -> frozenset[str]:
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = _imported_modules(tree, package)
    if path.name == "__init__.py" and module != _PACKAGE:
        # A package may load its public names lazily, which the syntax tree does not show.
        found |= {
            f"{module}.{child.stem}" if child.is_file() else f"{module}.{child.name}"
            for child in path.parent.iterdir()
            if child.suffix == ".py" or (child / "__init__.py").is_file()
        }
    return frozenset(found)


def _imported_modules(tree: ast.AST, package: str) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1])
                base = f"{parent}.{base}".rstrip(".")
            found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    names = {name for name in found if name.split(".")[0] == _PACKAGE}
    return names | {parent for name in names for parent in _parents(name)}


def _parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts))]


def _file_of(module: str) -> Path | None:
    path = _ROOT.joinpath(*module.split(".")[1:])
    for candidate in (path / "__init__.py", path.with_suffix(".py")):
        if candidate.is_file():
            return candidate
    return None


def _data_files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file() and path.suffix in _DATA_SUFFIXES}


def _content(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "replace")
