"""The walls of DESIGN: who may import whom, checked on the source."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STAGES = ("documents", "dataset", "knowledge", "training", "evaluation")
GOOGLE = ("google.cloud", "google.auth", "google.api_core")


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or ""


def _offenders(folder: Path, *forbidden: str) -> list[str]:
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sorted(folder.rglob("*.py"))
        for name in _imports(path)
        if any(name == banned or name.startswith(f"{banned}.") for banned in forbidden)
    ]


def test_the_library_never_imports_components_pipelines_or_compile() -> None:
    assert _offenders(ROOT / "doctune", "components", "pipelines", "compile") == []


@pytest.mark.parametrize("stage", STAGES)
def test_stages_know_nothing_of_google_cloud_and_pipelines(stage: str) -> None:
    assert (
        _offenders(
            ROOT / "doctune" / stage, "doctune.vertex", "doctune.localvertex", "kfp", *GOOGLE
        )
        == []
    )


def test_vertex_imports_no_model_library() -> None:
    assert _offenders(ROOT / "doctune/vertex", "torch", "transformers", "peft") == []


def test_localvertex_knows_nothing_of_the_stages() -> None:
    stages = [f"doctune.{stage}" for stage in (*STAGES, "serving", "vertex")]

    assert _offenders(ROOT / "doctune/localvertex", *stages) == []


def test_only_the_runner_localvertex_and_publishing_import_kfp() -> None:
    allowed = ("doctune/runner/", "doctune/localvertex/", "doctune/vertex/publishing.py")

    offenders = [
        line for line in _offenders(ROOT / "doctune", "kfp") if not line.startswith(allowed)
    ]

    assert offenders == []


@pytest.mark.parametrize("path", sorted((ROOT / "components").glob("*.py")), ids=lambda p: p.stem)
def test_component_bodies_hold_no_branch_that_decides(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        assert not isinstance(node, ast.If | ast.IfExp | ast.While | ast.Try), f"{path.name}:{node}"
