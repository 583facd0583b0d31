"""A pipeline of one step, for tests that need any."""

from pathlib import Path

from kfp import compiler, dsl


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def greet(name: str) -> str:
    return f"hello {name}"


@dsl.pipeline(name="greeting")
def greeting(name: str) -> None:
    greet(name=name)


def compile_greeting(folder: Path) -> Path:
    """Writes the compiled spec into a folder."""
    path = folder / "greeting.yaml"
    compiler.Compiler().compile(greeting, str(path))
    return path
