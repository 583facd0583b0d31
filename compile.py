"""Compile every pipeline and component to dist/: the YAML specs that Vertex AI Pipelines runs.

    python compile.py [--out dist] [--image-prefix PREFIX] [--image-tag TAG] [--config config]
                      [--environment NAME]

The same sources and settings give the same bytes.
"""

import argparse
import importlib
import os
import pkgutil
import sys
from pathlib import Path
from types import ModuleType

from doctune.errors import DoctuneError
from doctune.files import atomic_path


def main(arguments: list[str] | None = None) -> int:
    """Compiles; returns the exit code."""
    options = _arguments(arguments)
    for name, value in (
        ("DOCTUNE_CONFIG", options.config),
        ("DOCTUNE_ENVIRONMENT", options.environment),
        ("DOCTUNE_VERTEX_IMAGES__PREFIX", options.image_prefix),
        ("DOCTUNE_VERTEX_IMAGES__TAG", options.image_tag),
    ):
        if value:
            os.environ[name] = value
    try:
        written = compile_package("pipelines", options.out) + compile_package(
            "components", options.out
        )
    except DoctuneError as error:
        print(f"compile.py: {error}", file=sys.stderr)
        return error.exit_code
    for path in written:
        print(path)
    return 0


def compile_package(package: str, out: Path) -> list[Path]:
    """Compiles the function of the same name in each module; returns the files written."""
    from kfp import compiler

    written = []
    for name, function in _definitions(package):
        path = out / package / f"{name}.yaml"
        with atomic_path(path) as temporary:
            # The compiler accepts only known suffixes.
            yaml_file = temporary.with_suffix(".yaml")
            compiler.Compiler().compile(function, str(yaml_file))
            yaml_file.replace(temporary)
        written.append(path)
    return written


def _definitions(package: str) -> list[tuple[str, object]]:
    root: ModuleType = importlib.import_module(package)
    found = []
    for module_info in sorted(pkgutil.iter_modules(root.__path__), key=lambda info: info.name):
        module = importlib.import_module(f"{package}.{module_info.name}")
        function = getattr(module, module_info.name, None)
        if function is not None:
            found.append((module_info.name, function))
    return found


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("dist"), help="where the specs go")
    parser.add_argument("--config", help="folder with config.yaml and vertex_config.yaml")
    parser.add_argument("--environment", help="name of an environment that overrides both files")
    parser.add_argument("--image-prefix", help="registry, project and repository of the images")
    parser.add_argument("--image-tag", help="tag of the images: a git SHA in a release")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
